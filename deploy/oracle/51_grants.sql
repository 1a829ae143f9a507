-- 51_grants: 계정별 최소 권한. 동의어는 만들지 않습니다: 세션이 CURRENT_SCHEMA를 소유자로 둡니다.
-- Least privilege by account. No synonyms: sessions set CURRENT_SCHEMA to the owner.
@@01_settings.sql
SPOOL sb_51_grants.log
ALTER SESSION SET CURRENT_SCHEMA = &SB_OWNER.;

-- 읽기: 뷰와 심박(대기 DB의 지연 측정)만. 11.2에서는 SELECT 권한으로 SELECT FOR UPDATE가 될 수 있으므로 GUIDE의 확인
-- 목록대로 실측하고, 자원 그룹이 잠금을 끊게 하십시오.
-- Reading: the views, and the heartbeat (lag of a standby). On 11.2 SELECT may allow SELECT FOR UPDATE: see GUIDE.
-- check --connect는 undo_retention을 읽습니다. 읽게 하려면 SYS로 GRANT SELECT ON SYS.V_$PARAMETER TO 읽기 계정. 아니면
-- unknown으로 남고 DBA가 확인합니다. / For check --connect to read undo_retention, as SYS: the same grant to both.
@@51_grants_read.sql &SB_READ_A.
@@51_grants_read.sql &SB_READ_B.

-- 쓰기: sql이면 열 단위, procedure면 패키지의 EXECUTE만. / Writing: column-wise, or EXECUTE on the package alone.
@@51_grants_write_&SB_WRITE_BODY..sql &SB_WRITE_A.
@@51_grants_write_&SB_WRITE_BODY..sql &SB_WRITE_B.
SPOOL OFF
