-- 30_interface_views: 브리지가 보는 전부. 이름과 열은 약속이고, 본문은 DBA의 것입니다: 예시 스키마 기준으로 적었습니다.
-- 읽기 뷰는 WITH READ ONLY, 쓰기 뷰(_W)는 한 테이블 위의 단순 뷰라 갱신할 수 있습니다.
-- 40의 테이블을 먼저 참조하므로 FORCE로 만들고, 40이 끝에서 다시 컴파일합니다.
-- All that the bridge sees. Names and columns are the contract, the bodies are the DBA's: here over the example schema.
-- Views for reading are read-only, views for writing (_W) are simple views over one table, so that they are updatable.
-- They name tables of 40, so they are made by FORCE and compiled at the end of 40.
--
-- ROW_SCN (선택): ORA_ROWSCN. ROWDEPENDENCIES 없이 만든 테이블은 블록 단위라 이웃 행의 변경도 바뀐 것으로 보입니다
-- (놓치지는 않고, 더 많이 읽을 뿐입니다). 색인이 없으므로 2,000블록 미만의 테이블에만 쓰십시오.
-- ROW_SCN (optional) is ORA_ROWSCN. Without ROWDEPENDENCIES it is kept by block: neighbours of a changed row look changed
-- too; nothing is missed. It has no index: only for tables under 2,000 blocks.
@@01_settings.sql
SPOOL sb_30_interface_views.log
ALTER SESSION SET CURRENT_SCHEMA = &SB_OWNER.;

CREATE OR REPLACE FORCE VIEW SB_SITE AS SELECT
  T.SITE_NO AS SITE_ID, T.SITE_NM AS SITE_NM, D.SIDO_CD AS SIDO_CD, D.SIDO_NM AS SIDO_NM,
  T.SIGUNGU_CD AS SIGUNGU_CD, G.SIGUNGU_NM AS SIGUNGU_NM, T.ADDR AS ADDR, T.TEL_NO AS TEL,
  T.LAT_VAL AS LAT, T.LON_VAL AS LON, T.OPEN_HM AS OPEN_TM, T.CLOSE_HM AS CLOSE_TM, T.SAT_YN AS SAT_YN,
  T.CHRG_NM AS MANAGER_NM, T.CHRG_TEL AS MANAGER_TEL, T.RMK AS MEMO, T.UPD_DT AS UPD_DT &SB_ROW_SCN.
FROM &SB_LEGACY..TB_SITE T
LEFT JOIN &SB_LEGACY..TB_SIGUNGU G ON G.SIGUNGU_CD = T.SIGUNGU_CD
LEFT JOIN &SB_LEGACY..TB_SIDO D ON D.SIDO_CD = G.SIDO_CD
WITH READ ONLY;

-- SB_SLOT의 본문은 방식마다 다릅니다 (30_slot_방식.sql) / the body of SB_SLOT depends on the mode
@@30_slot_&SB_MODE..sql

CREATE OR REPLACE FORCE VIEW SB_PERSON AS SELECT
  T.PSN_NO AS PERSON_ID, T.JUMIN_NO AS RRN, T.CI_VAL AS CI, T.PSN_NM AS PERSON_NM, T.BIRTH_DT AS BIRTH_DT,
  T.SEX_CD AS SEX_CD, T.HP_NO AS TEL, T.ADDR AS ADDR, T.COHORT_CD AS COHORT_CD,
  CAST(CASE T.STAT_CD WHEN '0' THEN 'ACTIVE' WHEN '1' THEN 'DECEASED' WHEN '2' THEN 'DONE' ELSE 'WITHDRAWN' END
    AS VARCHAR2(10)) AS STATUS,
  T.UPD_DT AS UPD_DT &SB_ROW_SCN.
FROM &SB_LEGACY..TB_PSN T
WHERE T.STAT_CD <> '8'
WITH READ ONLY;

-- 자리표시 예약(OP_ID에 #가 있는 행)은 사람의 예약이 아니므로 뺍니다.
-- Placeholders (a hash sign in OP_ID) are nobody's reservation and are left out.
CREATE OR REPLACE FORCE VIEW SB_BOOKING AS SELECT
  T.RESV_NO AS RESV_NO, T.SLOT_NO AS SLOT_ID, T.PSN_NO AS PERSON_ID, T.SERIES_CD AS SERIES_CD, T.STAT_CD AS STATUS,
  T.IF_OP_ID AS OP_ID, T.RMK AS MEMO, T.UPD_DT AS UPD_DT &SB_ROW_SCN.
FROM &SB_LEGACY..TB_RESV T
WHERE T.IF_OP_ID IS NULL OR T.IF_OP_ID NOT LIKE '%#%'
WITH READ ONLY;

CREATE OR REPLACE FORCE VIEW SB_COHORT AS SELECT
  T.COHORT_CD AS COHORT_CD, T.COHORT_NM AS COHORT_NM, T.BIRTH_FROM_YY AS BIRTH_FROM, T.BIRTH_TO_YY AS BIRTH_TO,
  T.SERIES_CD AS SERIES_CD, T.OPEN_DT AS OPENS_AT, T.CLOSE_DT AS CLOSES_AT, T.LAST_DIGITS AS LAST_DIGITS,
  T.UPD_DT AS UPD_DT &SB_ROW_SCN.
FROM &SB_LEGACY..TB_COHORT T
WITH READ ONLY;

-- 쓰기용. STATUS는 OPEN 또는 CLOSED를 내는 식입니다. / For writing. STATUS is an expression that gives OPEN or CLOSED.
CREATE OR REPLACE FORCE VIEW SB_SLOT_W AS SELECT
  T.SLOT_NO AS SLOT_ID, T.SERIES_CD AS SERIES_CD,
  CAST(CASE T.STAT_CD WHEN '1' THEN 'OPEN' ELSE 'CLOSED' END AS VARCHAR2(6)) AS STATUS,
  T.CAPA_CNT AS CAPACITY, T.BOOKED_CNT AS BOOKED_CNT, T.REMAIN_CNT AS REMAIN_CNT, T.EXT_QUOTA_CNT AS QUOTA_CNT,
  T.UPD_DT AS UPD_DT &SB_SLOT_CLASS.
FROM &SB_LEGACY..TB_SLOT T;

CREATE OR REPLACE FORCE VIEW SB_BOOKING_W AS SELECT
  T.RESV_NO AS RESV_NO, T.SLOT_NO AS SLOT_ID, T.PSN_NO AS PERSON_ID, T.SERIES_CD AS SERIES_CD, T.STAT_CD AS STATUS,
  T.IF_OP_ID AS OP_ID, T.RMK AS MEMO, T.REG_DT AS REG_DT, T.UPD_DT AS UPD_DT
FROM &SB_LEGACY..TB_RESV T;

-- 기관 프로그램이 예약할 때 잠그는 행: row_lock이면 그 테이블이어야 합니다. 잠그기만 하고 바꾸지 않습니다.
-- The row that native code locks when it books (person_constraint row_lock). It is only locked, never changed.
CREATE OR REPLACE FORCE VIEW SB_PERSON_W AS SELECT T.PSN_NO AS PERSON_ID FROM &SB_LEGACY..TB_PSN T;

-- count_rows가 아니면 비어 있는 것이 맞습니다. / Empty unless the mode is count_rows.
CREATE OR REPLACE FORCE VIEW SB_PLACEHOLDER AS SELECT T.PSN_NO AS PERSON_ID FROM &SB_LEGACY..TB_PSN T WHERE CASE WHEN T.STAT_CD = '8' THEN T.PSN_NO END IS NOT NULL
WITH READ ONLY;

-- 예약번호: 시퀀스에서, 기관의 형식으로. MAX + 1은 절대 쓰지 않습니다.
-- The reservation number in the agency's format, from the sequence, never MAX + 1.
CREATE OR REPLACE FUNCTION SB_NEXT_RESV_NO RETURN VARCHAR2 IS
  N_NEXT NUMBER;
BEGIN
  SELECT &SB_LEGACY..&SB_RESV_SEQ..NEXTVAL INTO N_NEXT FROM DUAL;
  RETURN 'R' || LPAD(TO_CHAR(N_NEXT), 10, '0');
END;
/
SHOW ERRORS FUNCTION SB_NEXT_RESV_NO
SPOOL OFF
