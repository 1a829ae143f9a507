-- 10_accounts: 소유자(잠김, 로그인 불가)와 번갈아 쓰는 읽기·쓰기 계정. DBA로 실행.
-- 비밀번호는 숨겨서 입력받고, SPOOL 파일에는 남지 않습니다. 감사가 문장 전문을 남긴다면 실행 뒤
-- SQL*Plus의 PASSWORD 명령으로 다시 바꾸십시오 (그 명령은 평문을 보내지 않습니다).
-- The owner (locked, no login) and the alternating accounts. Passwords are asked for, hidden, and not spooled. Where
-- auditing keeps whole statements, change them afterwards with the PASSWORD command of SQL*Plus.
@@01_settings.sql

ACCEPT SB_PW_READ_A CHAR PROMPT 'password of the first read account: ' HIDE
ACCEPT SB_PW_READ_B CHAR PROMPT 'password of the second read account: ' HIDE
ACCEPT SB_PW_WRITE_A CHAR PROMPT 'password of the first write account: ' HIDE
ACCEPT SB_PW_WRITE_B CHAR PROMPT 'password of the second write account: ' HIDE

SPOOL sb_10_accounts.log

-- 아무도 모르는 비밀번호, 잠금, CREATE SESSION 없음: 시스템 권한이 하나도 없는 객체 주머니입니다.
-- A password that nobody knows, locked, without CREATE SESSION: a bag of objects without one system privilege.
BEGIN
  EXECUTE IMMEDIATE 'CREATE USER &SB_OWNER. IDENTIFIED BY "a_1' || DBMS_RANDOM.STRING('X', 24) || '"'
    || ' DEFAULT TABLESPACE &SB_TABLESPACE. TEMPORARY TABLESPACE &SB_TEMP.'
    || ' QUOTA &SB_QUOTA. ON &SB_TABLESPACE. ACCOUNT LOCK';
END;
/

CREATE USER &SB_READ_A. IDENTIFIED BY "&SB_PW_READ_A." DEFAULT TABLESPACE &SB_TABLESPACE. TEMPORARY TABLESPACE &SB_TEMP.;
CREATE USER &SB_READ_B. IDENTIFIED BY "&SB_PW_READ_B." DEFAULT TABLESPACE &SB_TABLESPACE. TEMPORARY TABLESPACE &SB_TEMP.;
CREATE USER &SB_WRITE_A. IDENTIFIED BY "&SB_PW_WRITE_A." DEFAULT TABLESPACE &SB_TABLESPACE. TEMPORARY TABLESPACE &SB_TEMP.;
CREATE USER &SB_WRITE_B. IDENTIFIED BY "&SB_PW_WRITE_B." DEFAULT TABLESPACE &SB_TABLESPACE. TEMPORARY TABLESPACE &SB_TEMP.;

-- 접속 권한만. 롤도, 할당량도 없습니다. / Only to connect: no role, no quota.
GRANT CREATE SESSION TO &SB_READ_A.;
GRANT CREATE SESSION TO &SB_READ_B.;
GRANT CREATE SESSION TO &SB_WRITE_A.;
GRANT CREATE SESSION TO &SB_WRITE_B.;

UNDEFINE SB_PW_READ_A
UNDEFINE SB_PW_READ_B
UNDEFINE SB_PW_WRITE_A
UNDEFINE SB_PW_WRITE_B
SPOOL OFF
