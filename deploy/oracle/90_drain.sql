-- 90_drain: 서서히 멈추기. 새로 가져가지 않고, 빈 단위를 돌려줍니다. 받은 예약은 계속 반영됩니다. 2초 안에 지켜집니다.
-- 이미 STOP이면 아무것도 바꾸지 않습니다.
-- Slow down: nothing more is taken, free units are returned, bookings that were accepted are still written. Obeyed within
-- 2 s. A bridge that is stopped stays stopped.
@@01_settings.sql
SPOOL sb_90_drain.log
ALTER SESSION SET CURRENT_SCHEMA = &SB_OWNER.;
UPDATE SB_CONTROL SET STATE = 'DRAIN' WHERE STATE = 'RUN';
COMMIT;
-- FREE_UNITS와 UNAPPLIED가 0이 되면 91 / wait for both to be 0, then 91
SELECT C.STATE, H.UNAPPLIED, H.FREE_UNITS, H.BEAT_AT FROM SB_CONTROL C, SB_HEARTBEAT H;
SPOOL OFF
