-- 41_offswitch_tables: 끄기와 되돌리기(91, 93, 94, 95)에만 쓰는 테이블. 40이 부릅니다. 브리지는 이 테이블을 모릅니다.
-- Tables that only the scripts of the off switch use (91, 93, 94, 95). Called by 40. The bridge does not know them.

-- 적용되지 않은 예약 목록. SOURCE_CD는 LEDGER(원장 내보내기) 또는 제휴사 이름. SLOT_ID가 별표인 행은 목록의 끝이며
-- UNITS가 합계입니다: 잘린 파일은 합계가 맞지 않아 거절됩니다. 그 행의 NOTE는 position=번호: 원장이 어디까지 알았는지.
-- Bookings that were acknowledged and are not in the agency's tables. SOURCE_CD is LEDGER (the ledger's export) or a
-- partner. The row with an asterisk as SLOT_ID ends the list and holds its sum: a file cut short is refused. Its NOTE,
-- position=NUMBER, says how far the ledger went.
CREATE TABLE SB_UNAPPLIED (
  SLOT_ID VARCHAR2(60) NOT NULL,
  UNITS NUMBER(6) NOT NULL,
  LOADED_AT DATE NOT NULL,
  SOURCE_CD VARCHAR2(32) DEFAULT 'LEDGER' NOT NULL,
  NOTE VARCHAR2(60),
  CONSTRAINT PK_SB_UNAPPLIED PRIMARY KEY (SOURCE_CD, SLOT_ID),
  CONSTRAINT CK_SB_UNAPPLIED_UNITS CHECK (UNITS >= 0)
);
-- 계약된 제휴사: 원장을 잃었을 때 모두의 목록이 있어야 합니다. / Partners whose lists are needed when the ledger is lost.
CREATE TABLE SB_PARTNER_LIST (
  SOURCE_CD VARCHAR2(32) NOT NULL,
  CONSTRAINT PK_SB_PARTNER_LIST PRIMARY KEY (SOURCE_CD)
);
-- 지켜야 할 조건. 스크립트가 조건의 결과를 OK로 넣고, 0이면 제약이 SQL*Plus를 멈춥니다. 이름이 곧 사유입니다.
-- Conditions. A script inserts how one turned out, and a constraint stops SQL*Plus at 0; its name is the reason.
CREATE TABLE SB_GUARD (
  WHAT VARCHAR2(30) NOT NULL,
  OK NUMBER(1) NOT NULL,
  AT_DT DATE NOT NULL,
  CONSTRAINT PK_SB_GUARD PRIMARY KEY (WHAT),
  CONSTRAINT SB_94_FENCE_IS_OPEN CHECK (WHAT <> 'FENCED' OR OK = 1),
  CONSTRAINT SB_94_LIST_IS_CUT_SHORT CHECK (WHAT <> 'LIST_WHOLE' OR OK = 1),
  CONSTRAINT SB_94_LEDGER_IS_BEHIND CHECK (WHAT <> 'LIST_NEWEST' OR OK = 1),
  CONSTRAINT SB_94_UNAPPLIED_LIST_MISSING CHECK (WHAT <> 'LIST_THERE' OR OK = 1),
  CONSTRAINT SB_94_MODE_IS_NOT_OF_SB_META CHECK (WHAT <> 'MODE_SAME' OR OK = 1),
  CONSTRAINT SB_94_MODE_HOLDS_NO_UNITS CHECK (WHAT <> 'MODE_FITS' OR OK = 1),
  CONSTRAINT SB_95_UNITS_WERE_RETURNED CHECK (WHAT <> 'RECONCILED' OR OK = 1)
);
-- 94가 무엇을 얼마나 돌려주었는지 / what 94 gave back
CREATE TABLE SB_RETURN (
  SLOT_ID VARCHAR2(60) NOT NULL,
  UNITS NUMBER(6) NOT NULL,
  KEEP_CNT NUMBER(6) NOT NULL,
  RESERVED_CNT NUMBER(6) NOT NULL,
  GIVE_CNT NUMBER(6) NOT NULL,
  AT_DT DATE NOT NULL,
  CONSTRAINT PK_SB_RETURN PRIMARY KEY (SLOT_ID)
);

-- 원장 목록이 있으면 그것만, 없으면 제휴사 목록의 합. / The ledger's list alone where it is there, else the partners' sum.
CREATE VIEW SB_UNAPPLIED_V AS SELECT U.SLOT_ID AS SLOT_ID, SUM(U.UNITS) AS UNITS
FROM SB_UNAPPLIED U
WHERE U.SLOT_ID <> '*'
  AND (U.SOURCE_CD = 'LEDGER'
    OR NOT EXISTS (SELECT 1 FROM SB_UNAPPLIED L WHERE L.SOURCE_CD = 'LEDGER' AND L.SLOT_ID = '*'))
GROUP BY U.SLOT_ID;

-- 슬롯마다: 쥔 수, 남겨 둘 수(적용되지 않은 예약), 예약 수(자리표시 제외), 자리표시 수.
-- By slot: units held, units to keep (unapplied bookings), reservations without placeholders, placeholders.
CREATE VIEW SB_RETURN_V AS SELECT
  E.SLOT_ID AS SLOT_ID, E.UNITS AS UNITS, E.SEEN_CNT AS SEEN_CNT,
  CASE WHEN COALESCE(U.UNITS, 0) < E.UNITS THEN COALESCE(U.UNITS, 0) ELSE E.UNITS END AS KEEP_CNT,
  (SELECT COUNT(*) FROM SB_BOOKING_W B
    WHERE B.SLOT_ID = E.SLOT_ID AND B.STATUS <> 'C' AND (B.OP_ID IS NULL OR B.OP_ID NOT LIKE '%#%')) AS RESERVED_CNT,
  (SELECT COUNT(*) FROM SB_BOOKING_W P
    WHERE P.SLOT_ID = E.SLOT_ID AND P.STATUS <> 'C' AND P.OP_ID LIKE '%#%') AS HOLDER_CNT
FROM SB_ESCROW E LEFT JOIN SB_UNAPPLIED_V U ON U.SLOT_ID = E.SLOT_ID
WHERE E.UNITS > 0;
