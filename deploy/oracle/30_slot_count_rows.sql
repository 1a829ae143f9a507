-- 30_slot_count_rows: 예약 행을 세는 시스템에서 자리표시 예약으로 자리를 잡는 방식. BOOKED_CNT는 자리표시를 포함한
-- 모든 유효 행, NATIVE_CNT는 자리표시를 뺀 수입니다 (자리표시는 IF_OP_ID가 있으므로 저절로 빠집니다).
-- Places are held by placeholder reservations. BOOKED_CNT counts all rows that are not cancelled, placeholders included,
-- NATIVE_CNT has none of them, since they carry an IF_OP_ID.
-- NATIVE_CNT: 브리지가 만들지 않은, 취소되지 않은 예약. 상관 서브쿼리는 키로 읽을 때(hot_set) 색인만 탑니다. 전체 읽기가
-- 느리면 GROUP BY 인라인 뷰와의 외부 조인으로 바꾸고 60으로 두 계획을 모두 확인하십시오.
-- NATIVE_CNT: reservations that are not cancelled and not the bridge's; done ones still fill their place. The correlated
-- form reads by index when slots are read by key. Where the full cut is too slow, join a grouped inline view, and look
-- at both plans (60).
CREATE OR REPLACE FORCE VIEW SB_SLOT AS SELECT
  T.SLOT_NO AS SLOT_ID, T.SITE_NO AS SITE_ID, T.SERIES_CD AS SERIES_CD, T.RSV_DT AS SLOT_DT, T.DUR_MI AS DUR_MIN,
  T.VCN_CD AS VACCINE_CD, T.DOSE_NO AS DOSE_NO, T.MIN_AGE AS MIN_AGE,
  CAST(CASE T.STAT_CD WHEN '1' THEN 'OPEN' ELSE 'CLOSED' END AS VARCHAR2(6)) AS STATUS,
  T.CAPA_CNT AS CAPACITY,
  (SELECT COUNT(*) FROM &SB_LEGACY..TB_RESV C WHERE C.SLOT_NO = T.SLOT_NO AND C.STAT_CD <> 'C') AS BOOKED_CNT,
  (SELECT COUNT(*) FROM &SB_LEGACY..TB_RESV R
    WHERE R.SLOT_NO = T.SLOT_NO AND R.STAT_CD <> 'C' AND R.IF_OP_ID IS NULL) AS NATIVE_CNT,
  NVL(E.UNITS, 0) AS ESCROW_UNITS, E.LAST_OP AS ESCROW_LAST_OP, T.OPEN_DT AS OPENS_AT,
  T.CHRG_NM AS MANAGER_NM, T.RMK AS MEMO, T.UPD_DT AS UPD_DT &SB_SLOT_CLASS. &SB_ROW_SCN.
FROM &SB_LEGACY..TB_SLOT T LEFT JOIN SB_ESCROW E ON E.SLOT_ID = T.SLOT_NO
WITH READ ONLY;
