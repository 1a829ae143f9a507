-- 01_settings: 모든 스크립트가 먼저 읽는 이름과 값. 이 파일만 기관에 맞게 고치면 됩니다.
-- 비밀번호는 여기에 두지 않습니다 (10_accounts가 화면에서 숨겨서 묻습니다).
-- Names and values that every script reads first. Adapt this file only. No password is kept here.
SET ECHO OFF
SET VERIFY OFF
SET FEEDBACK ON
SET SQLBLANKLINES OFF
SET DEFINE ON
SET CONCAT '.'
SET PAGESIZE 1000
SET LINESIZE 200
SET TRIMSPOOL ON
SET NUMWIDTH 12
WHENEVER SQLERROR EXIT FAILURE ROLLBACK
WHENEVER OSERROR EXIT FAILURE ROLLBACK

-- 브리지 객체의 소유자: 로그인하지 못하는 잠긴 계정 / owner of the bridge's objects: a locked account without login
DEFINE SB_OWNER = SLOTBRIDGE
-- 기존 예약 시스템의 스키마 / schema of the legacy booking system
DEFINE SB_LEGACY = VACC
-- 읽기 계정 두 개, 쓰기 계정 두 개: 번갈아 써서 무중단으로 비밀번호를 바꿉니다
-- two alternating accounts a role, so that passwords rotate without a restart
DEFINE SB_READ_A = SB_READ_A
DEFINE SB_READ_B = SB_READ_B
DEFINE SB_WRITE_A = SB_WRITE_A
DEFINE SB_WRITE_B = SB_WRITE_B
-- 테이블스페이스와 할당량 / tablespaces and quota: the bridge's tables stay far below
DEFINE SB_TABLESPACE = USERS
DEFINE SB_TEMP = TEMP
DEFINE SB_QUOTA = 512M
-- 계정별 최대 세션 수 (브리지 전체는 최대 6개) / sessions an account (the whole bridge: at most 6)
DEFINE SB_SESSIONS = 6
-- CPU 상한(%)과 잠금을 쥔 채 쉬는 세션을 끊는 시간(초) / CPU cap in per cent, seconds an idle blocker may hold a lock
DEFINE SB_CPU_MAX = 10
DEFINE SB_BLOCKER_SECS = 5
-- 자원 관리 계획: 쓰던 계획이 있으면 그 이름 / resource plan: name the one in force, if there is one
DEFINE SB_PLAN = SB_PLAN
-- 단위를 얻는 방식: none, on_request, quota, counter, remaining, capacity, count_rows (GUIDE의 결정표)
-- allotment mode, see the decision table of GUIDE
DEFINE SB_MODE = counter
-- 카운터를 누가 지키는가: application 또는 trigger / who maintains the counter
DEFINE SB_MAINTAINED = application
-- 쓰기 방식: sql 또는 procedure / body of the writes: sql or procedure
DEFINE SB_WRITE_BODY = sql
-- 1인 1예약 보장: unique_index, row_lock, recheck / what keeps a person to one booking
DEFINE SB_PERSON_CONSTRAINT = unique_index
-- 예약번호 시퀀스와 이름 / sequence of the reservation numbers
DEFINE SB_RESV_SEQ = SQ_RESV
-- 브리지가 만든 예약의 비고 / remark on the reservations that the bridge makes
DEFINE SB_MEMO = "제휴사 예약"
-- 선택 열: 아래처럼 쓰면 SB_SLOT 등에 열이 더해집니다 (빈 값이면 없음). 쉼표로 시작합니다.
-- optional columns, empty = none, each begins with a comma:
--   DEFINE SB_ROW_SCN = ", T.ORA_ROWSCN AS ROW_SCN"
--   DEFINE SB_SLOT_CLASS = ", T.CLASS_CD AS SLOT_CLASS"
DEFINE SB_ROW_SCN = ""
DEFINE SB_SLOT_CLASS = ""
-- 방식이 슬롯 종류마다 다를 때 94가 다룰 슬롯 (별칭 S = SB_SLOT_W) / slots that 94 handles, where modes are mixed
DEFINE SB_SLOT_FILTER = "1 = 1"
-- 94를 돌린 뒤 95로 다시 켤 때만 YES / YES only to switch on again after 94, see 95_run
DEFINE SB_RECONCILED = NO
