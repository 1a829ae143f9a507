-- 30_slot_remaining: 남은 수를 지키는 시스템. 팔린 수는 총량에서 남은 수를 뺀 것.
-- A legacy system that keeps what is left.
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
  T.CAPA_CNT - T.REMAIN_CNT AS BOOKED_CNT,
  (SELECT COUNT(*) FROM &SB_LEGACY..TB_RESV R
    WHERE R.SLOT_NO = T.SLOT_NO AND R.STAT_CD <> 'C' AND R.IF_OP_ID IS NULL) AS NATIVE_CNT,
  NVL(E.UNITS, 0) AS ESCROW_UNITS, E.LAST_OP AS ESCROW_LAST_OP, T.OPEN_DT AS OPENS_AT,
  T.CHRG_NM AS MANAGER_NM, T.RMK AS MEMO, T.UPD_DT AS UPD_DT &SB_SLOT_CLASS. &SB_ROW_SCN.
FROM &SB_LEGACY..TB_SLOT T LEFT JOIN SB_ESCROW E ON E.SLOT_ID = T.SLOT_NO
WITH READ ONLY;
