-- 94_return_orphans: 브리지가 쥔 단위를 기관에 돌려줍니다. 91 뒤에 실행. 두 번 돌려도 됩니다.
-- 준비: (1) 91_stop (2) slotbridge ledger export --unapplied 로 만든 목록을 SB_UNAPPLIED에 넣기 (94_unapplied.ctl),
--   원장을 잃었으면 모든 제휴사의 목록. 심박이 멈춘 뒤에도 UNAPPLIED = 0이었다면 목록 없이도 됩니다.
-- Gives back to the agency the units that the bridge holds. Run it after 91; it may be run twice. Load the list of
-- unapplied bookings first (94_unapplied.ctl), or, without the ledger, the lists of all partners. No list is needed where
-- a heartbeat from after the stop says that nothing is unapplied.
--
-- 왜 초과 예약이 없는가 / why it never oversells:
--   1. 울타리가 먼저입니다. 브리지의 모든 쓰기는 SB_FENCE 행을 잠근 채 TOKEN을 확인하고 커밋합니다. 아래 UPDATE는 진행
--      중인 트랜잭션을 기다리고, 커밋한 뒤에는 어떤 쓰기도(답을 못 받은 것, 다시 보낸 것 포함) 들어오지 못합니다.
--      The fence comes first: each write of the bridge holds the row of SB_FENCE. The update waits for the one that runs,
--      and after the commit none gets through, however late it arrives.
--   2. 슬롯 행을 잠근 뒤에 세고, 잠근 채로 바꿉니다. 예약된 수 + 남겨 둔 수 아래로는 내려가지 않습니다: 침식된 슬롯
--      (규칙 30)에서는 남은 만큼만 돌려줍니다. 슬롯 행을 잠그지 않고 세어서 파는 시스템은 진행 중인 건수만큼 어긋날 수
--      있으므로 한산한 시간에 돌리십시오.
--      Counted and changed under the lock of the slot rows, never below reservations + kept units; an eroded slot gives
--      back only what is left. Native code that counts without locking the slot row can race: run it in a quiet hour.
--   3. 돌려준 수와 쥔 수는 한 트랜잭션에서 바뀝니다: 두 번 돌리면 두 번째는 돌려줄 것이 없습니다.
--      Columns and SB_ESCROW change in one transaction: a second run finds nothing to give back.
-- 왜 승인된 예약을 잃지 않는가 / why it loses no acknowledged booking:
--   승인되었으나 반영되지 않은 예약의 단위는 SB_ESCROW에 남고 기관 카운터에도 남습니다. 목록이 없거나, 잘렸거나, 멈추기
--   전에 만든 것이면 아래 제약이 SQL*Plus를 멈추고 아무것도 바뀌지 않습니다.
--   Units of bookings that are acknowledged and not applied stay in SB_ESCROW and in the agency's counter. A list that is
--   missing, cut short or older than the stop makes a named constraint end SQL*Plus, and nothing is changed.
@@01_settings.sql
SPOOL sb_94_return_orphans.log
ALTER SESSION SET CURRENT_SCHEMA = &SB_OWNER.;

-- (a) 울타리 / the fence. 멈추지 않은 브리지라면 지금 멈춥니다. / A bridge that was not stopped is stopped now.
UPDATE SB_FENCE SET TOKEN = 'CLOSED';
UPDATE SB_CONTROL SET STATE = 'STOP';
COMMIT;

DELETE FROM SB_GUARD WHERE WHAT IN ('FENCED', 'LIST_WHOLE', 'LIST_NEWEST', 'LIST_THERE', 'MODE_FITS', 'MODE_SAME');
INSERT INTO SB_GUARD (WHAT, OK, AT_DT)
  SELECT 'FENCED', CASE WHEN TOKEN = 'CLOSED' THEN 1 ELSE 0 END, SYSDATE FROM SB_FENCE;

-- 설정의 방식이 뷰의 방식과 같은가 (mixed면 94를 종류마다, SB_SLOT_FILTER와 함께) / is it the mode of the views?
INSERT INTO SB_GUARD (WHAT, OK, AT_DT)
  SELECT 'MODE_SAME', CASE WHEN MODE_CD IN ('&SB_MODE.', 'mixed') THEN 1 ELSE 0 END, SYSDATE FROM SB_META;

-- (b) 들어온 목록은 모두 끝까지 왔는가: 끝 행의 합계가 맞는가 / is each list whole: does its last row hold its sum?
INSERT INTO SB_GUARD (WHAT, OK, AT_DT)
  SELECT 'LIST_WHOLE', CASE WHEN EXISTS (
    SELECT 1 FROM (
      SELECT SOURCE_CD, SUM(CASE WHEN SLOT_ID = '*' THEN 1 ELSE 0 END) AS ENDS,
        SUM(CASE WHEN SLOT_ID = '*' THEN -UNITS ELSE UNITS END) AS OPEN_CNT
        FROM SB_UNAPPLIED GROUP BY SOURCE_CD) L
     WHERE L.ENDS <> 1 OR L.OPEN_CNT <> 0) THEN 0 ELSE 1 END, SYSDATE FROM DUAL;

-- 백업에서 꺼낸 옛 원장이 아닌가: 마지막 심박보다 뒤처진 원장은 그 뒤의 예약을 모릅니다.
-- Is it the newest ledger? One that is behind the last heartbeat, from a backup say, does not know the bookings after.
INSERT INTO SB_GUARD (WHAT, OK, AT_DT)
  SELECT 'LIST_NEWEST', CASE WHEN EXISTS (
    SELECT 1 FROM SB_UNAPPLIED U, SB_HEARTBEAT H
     WHERE U.SOURCE_CD = 'LEDGER' AND U.SLOT_ID = '*'
       AND CASE WHEN U.NOTE LIKE 'position=%' THEN CAST(SUBSTR(U.NOTE, 10) AS NUMBER) END < H.POSITION) THEN 0 ELSE 1 END, SYSDATE FROM DUAL;

-- (c) 셋 중 하나: 원장 목록, 멈춘 뒤의 심박이 0, 모든 제휴사의 목록. 멈춘 때를 모르면(91을 거치지 않음) 거절합니다.
-- One of three: the ledger's list, a heartbeat of 0 from after the stop, the lists of all partners. Refused where nobody
-- knows when it stopped (91 was not run).
INSERT INTO SB_GUARD (WHAT, OK, AT_DT)
  SELECT 'LIST_THERE', CASE
    WHEN EXISTS (SELECT 1 FROM SB_UNAPPLIED U, SB_GUARD G
                  WHERE U.SOURCE_CD = 'LEDGER' AND U.SLOT_ID = '*' AND G.WHAT = 'STOPPED' AND U.LOADED_AT >= G.AT_DT) THEN 1
    WHEN EXISTS (SELECT 1 FROM SB_HEARTBEAT H, SB_GUARD G
                  WHERE H.UNAPPLIED = 0 AND G.WHAT = 'STOPPED' AND H.BEAT_AT >= G.AT_DT) THEN 1
    WHEN EXISTS (SELECT 1 FROM SB_PARTNER_LIST)
     AND NOT EXISTS (SELECT 1 FROM SB_PARTNER_LIST P WHERE NOT EXISTS (
           SELECT 1 FROM SB_UNAPPLIED U, SB_GUARD G
            WHERE U.SOURCE_CD = P.SOURCE_CD AND U.SLOT_ID = '*' AND G.WHAT = 'STOPPED' AND U.LOADED_AT >= G.AT_DT)) THEN 1
    ELSE 0 END, SYSDATE FROM DUAL;

-- (d) 잠그고, 세고, 돌려주기: 본문은 방식마다 다릅니다. counter와 remaining은 프로그램이 지키든 트리거가 지키든 같은
-- 문장입니다 (예약 행을 바꾸지 않으므로 트리거가 움직이지 않습니다).
-- Lock, count, give back: the statements depend on the mode. Who maintains a counter makes no difference here, since no
-- reservation changes.
DELETE FROM SB_RETURN;
SELECT S.SLOT_ID FROM SB_SLOT_W S
 WHERE S.SLOT_ID IN (SELECT E.SLOT_ID FROM SB_ESCROW E WHERE E.UNITS > 0) AND &SB_SLOT_FILTER.
   FOR UPDATE WAIT 60;
@@94_return_&SB_MODE..sql

UPDATE SB_ESCROW SET UNITS = (SELECT R.KEEP_CNT FROM SB_RETURN R WHERE R.SLOT_ID = SB_ESCROW.SLOT_ID)
 WHERE SLOT_ID IN (SELECT R.SLOT_ID FROM SB_RETURN R);
DELETE FROM SB_GUARD WHERE WHAT = 'RETURNED';
INSERT INTO SB_GUARD (WHAT, OK, AT_DT) VALUES ('RETURNED', 1, SYSDATE);
COMMIT;

-- (e) 보고 / the report. LEFT_CNT: 기관이 지켜 줄 예약. SHORT_CNT: 침식되어 돌려줄 것이 없던 수.
SELECT SLOT_ID, UNITS, GIVE_CNT, KEEP_CNT AS LEFT_CNT, UNITS - KEEP_CNT - GIVE_CNT AS SHORT_CNT
  FROM SB_RETURN ORDER BY SLOT_ID;
SELECT COUNT(*) AS SLOTS, COALESCE(SUM(GIVE_CNT), 0) AS GIVEN, COALESCE(SUM(KEEP_CNT), 0) AS LEFT_UNITS FROM SB_RETURN;
SELECT U.SLOT_ID, U.UNITS AS UNAPPLIED, COALESCE(E.UNITS, 0) AS UNITS
  FROM SB_UNAPPLIED_V U LEFT JOIN SB_ESCROW E ON E.SLOT_ID = U.SLOT_ID
 WHERE U.UNITS > COALESCE(E.UNITS, 0) ORDER BY U.SLOT_ID;
SPOOL OFF
