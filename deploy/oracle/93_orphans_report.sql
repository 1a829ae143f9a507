-- 93_orphans_report: 읽기만 합니다. 브리지가 쥔 단위, 적용되지 않은 예약, 94가 돌려줄 수.
-- Reads only: units that the bridge holds, bookings that are not applied, what 94 would give back.
@@01_settings.sql
SPOOL sb_93_orphans_report.log
ALTER SESSION SET CURRENT_SCHEMA = &SB_OWNER.;
SELECT C.STATE, F.TOKEN, F.INCARNATION, F.LAST_OP, H.POSITION, H.UNAPPLIED, H.FREE_UNITS, H.BEAT_AT
  FROM SB_CONTROL C, SB_FENCE F, SB_HEARTBEAT H;
SELECT COUNT(*) AS SLOTS, COALESCE(SUM(UNITS), 0) AS UNITS FROM SB_ESCROW WHERE UNITS > 0;
-- 목록이 들어왔는지: 끝 행이 있는 출처 / lists that are loaded whole
SELECT SOURCE_CD, UNITS, NOTE, LOADED_AT FROM SB_UNAPPLIED WHERE SLOT_ID = '*' ORDER BY SOURCE_CD;
SELECT P.SOURCE_CD AS MISSING_LIST FROM SB_PARTNER_LIST P
 WHERE NOT EXISTS (SELECT 1 FROM SB_UNAPPLIED U WHERE U.SOURCE_CD = P.SOURCE_CD AND U.SLOT_ID = '*')
 ORDER BY P.SOURCE_CD;
-- 슬롯마다: 쥔 수, 남길 수, 돌려줄 수(많아야) / by slot: held, to keep, at most to give back
SELECT SLOT_ID, UNITS, KEEP_CNT, UNITS - KEEP_CNT AS AT_MOST FROM SB_RETURN_V ORDER BY SLOT_ID;
-- 쥔 수보다 많은 예약: 기관이 따로 자리를 마련해야 합니다 / bookings beyond what is held: the agency must find room
SELECT U.SLOT_ID, U.UNITS AS UNAPPLIED, COALESCE(E.UNITS, 0) AS UNITS
  FROM SB_UNAPPLIED_V U LEFT JOIN SB_ESCROW E ON E.SLOT_ID = U.SLOT_ID
 WHERE U.UNITS > COALESCE(E.UNITS, 0) ORDER BY U.SLOT_ID;
SPOOL OFF
