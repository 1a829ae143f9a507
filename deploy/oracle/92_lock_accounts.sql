-- 92_lock_accounts: 브리지 계정을 잠급니다. 이미 접속한 세션은 남으므로, 끊을 문장을 출력합니다 (실행은 DBA가).
-- 잠그면 심박도 끊깁니다: UNAPPLIED가 0인 심박을 근거로 94를 돌리려면 92보다 먼저 확인하십시오.
-- Locks the bridge's accounts. Sessions that are connected stay, so it prints the statements that end them. The heartbeat
-- ends too: to run 94 on the word of a heartbeat, look at it before.
@@01_settings.sql
SPOOL sb_92_lock_accounts.log
ALTER USER &SB_READ_A. ACCOUNT LOCK;
ALTER USER &SB_READ_B. ACCOUNT LOCK;
ALTER USER &SB_WRITE_A. ACCOUNT LOCK;
ALTER USER &SB_WRITE_B. ACCOUNT LOCK;
SELECT 'ALTER SYSTEM KILL SESSION ''' || SID || ',' || SERIAL# || ',@' || INST_ID || ''' IMMEDIATE' AS TO_RUN
  FROM GV$SESSION
 WHERE USERNAME IN (UPPER('&SB_READ_A.'), UPPER('&SB_READ_B.'), UPPER('&SB_WRITE_A.'), UPPER('&SB_WRITE_B.'));
SPOOL OFF
