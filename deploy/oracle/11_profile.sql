-- 11_profile: 브리지 계정의 한도. 초기화 매개변수 RESOURCE_LIMIT = TRUE 라야 세션 수와 유휴 시간이 지켜집니다.
-- Limits of the bridge's accounts. SESSIONS_PER_USER and IDLE_TIME count only under RESOURCE_LIMIT = TRUE.
@@01_settings.sql
SPOOL sb_11_profile.log

-- SESSIONS_PER_USER: 브리지는 최대 6세션. 프로그램 오류로도 그 이상 열지 못합니다.
-- IDLE_TIME 30분: 브리지는 1초마다 심박을 쓰므로 30분 쉬는 세션은 죽은 세션입니다.
-- FAILED_LOGIN_ATTEMPTS 10: 브리지는 ORA-01017을 처음 보면 모든 스레드를 멈추고 비밀 파일이 바뀔 때까지, 재시작해도,
--   다시 시도하지 않습니다. 동시에 접속하던 세션을 더해도 10에 못 미치므로 브리지가 계정을 잠그는 일은 없고,
--   밖에서 추측하는 사람은 열 번에 잠깁니다. 한 시간 뒤 풀립니다.
-- PASSWORD_LIFE_TIME 90일, GRACE 14일: 남은 날은 브리지의 지표에 나옵니다.
-- The bridge stops all threads at the first ORA-01017 until the secret file changes, so it never reaches ten failures.
CREATE PROFILE SB_BRIDGE_PROFILE LIMIT
  SESSIONS_PER_USER &SB_SESSIONS.
  IDLE_TIME 30
  CONNECT_TIME UNLIMITED
  FAILED_LOGIN_ATTEMPTS 10
  PASSWORD_LOCK_TIME 1/24
  PASSWORD_LIFE_TIME 90
  PASSWORD_GRACE_TIME 14
  PASSWORD_REUSE_TIME 365
  PASSWORD_REUSE_MAX 5;

ALTER USER &SB_READ_A. PROFILE SB_BRIDGE_PROFILE;
ALTER USER &SB_READ_B. PROFILE SB_BRIDGE_PROFILE;
ALTER USER &SB_WRITE_A. PROFILE SB_BRIDGE_PROFILE;
ALTER USER &SB_WRITE_B. PROFILE SB_BRIDGE_PROFILE;

PROMPT resource_limit must be TRUE, else run: ALTER SYSTEM SET RESOURCE_LIMIT = TRUE
SELECT NAME, VALUE FROM V$PARAMETER WHERE NAME = 'resource_limit';
SPOOL OFF
