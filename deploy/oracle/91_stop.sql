-- 91_stop: 즉시 멈추기. 브리지는 2초 안에 모든 쓰기를 그만두고 접수를 거절합니다. 언제든 안전하며 되돌릴 수 있습니다(95).
-- 받은 예약은 원장에 남아 있고 사라지지 않습니다.
-- Stop now: within 2 s the bridge writes nothing and refuses requests. Safe at any time, undone by 95. Bookings that were
-- acknowledged stay in the bridge's ledger.
@@01_settings.sql
SPOOL sb_91_stop.log
ALTER SESSION SET CURRENT_SCHEMA = &SB_OWNER.;
-- 멈춘 때 + 5초. 94는 그 뒤의 심박과 목록만 믿습니다. 이미 멈춰 있으면 처음 때를 그대로 둡니다.
-- When it stopped, and 5 s: 94 believes only a heartbeat and lists from after that. A second run keeps the first time.
DELETE FROM SB_GUARD WHERE WHAT = 'STOPPED' AND EXISTS (SELECT 1 FROM SB_CONTROL WHERE STATE <> 'STOP');
INSERT INTO SB_GUARD (WHAT, OK, AT_DT)
  SELECT 'STOPPED', 1, SYSDATE + 5/86400 FROM SB_CONTROL
   WHERE NOT EXISTS (SELECT 1 FROM SB_GUARD WHERE WHAT = 'STOPPED');
UPDATE SB_CONTROL SET STATE = 'STOP';
COMMIT;
SELECT C.STATE, H.UNAPPLIED, H.FREE_UNITS, H.BEAT_AT FROM SB_CONTROL C, SB_HEARTBEAT H;
SPOOL OFF
