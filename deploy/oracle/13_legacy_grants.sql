-- 13_legacy_grants: 소유자 SLOTBRIDGE가 기관 테이블에 갖는 권한 (뷰와 패키지가 이 권한으로 움직입니다).
-- 기관 스키마의 소유자 또는 DBA가 실행. 롤을 통한 권한은 뷰와 패키지에 통하지 않으므로 직접 줍니다.
-- 예시 스키마 기준이며, 테이블이 다르면 이 파일과 30을 함께 고칩니다. DELETE와 DDL은 없습니다.
-- What the owner may do with the agency's tables: views and the package work through these. Granted directly, since
-- privileges by role do not reach views and packages. No DELETE, no DDL.
@@01_settings.sql
SPOOL sb_13_legacy_grants.log

GRANT SELECT ON &SB_LEGACY..TB_SIDO TO &SB_OWNER. WITH GRANT OPTION;
GRANT SELECT ON &SB_LEGACY..TB_SIGUNGU TO &SB_OWNER. WITH GRANT OPTION;
GRANT SELECT ON &SB_LEGACY..TB_SITE TO &SB_OWNER. WITH GRANT OPTION;
GRANT SELECT ON &SB_LEGACY..TB_SLOT TO &SB_OWNER. WITH GRANT OPTION;
GRANT SELECT ON &SB_LEGACY..TB_COHORT TO &SB_OWNER. WITH GRANT OPTION;
GRANT SELECT ON &SB_LEGACY..TB_PSN TO &SB_OWNER. WITH GRANT OPTION;
GRANT SELECT ON &SB_LEGACY..TB_RESV TO &SB_OWNER. WITH GRANT OPTION;
GRANT SELECT ON &SB_LEGACY..&SB_RESV_SEQ. TO &SB_OWNER.;

-- 열 단위. 방식에 필요 없는 열은 지워도 됩니다: counter는 BOOKED_CNT, remaining은 REMAIN_CNT, capacity는 CAPA_CNT,
-- quota는 BOOKED_CNT와 EXT_QUOTA_CNT, count_rows와 feeds만 쓰는 기관은 없음. UPD_DT는 늘 함께.
-- Column by column; leave out what the mode does not need.
-- 51이 ORA-01720이나 ORA-01031로 거절되면 (뷰로 이어지는 열 단위 권한), 아래에서 열 목록을 빼고 다시 주십시오: 소유자는 잠긴
-- 계정이고, 브리지 계정의 권한은 51에서 여전히 열 단위입니다.
-- Where 51 is refused by ORA-01720 or ORA-01031 (column rights passed on through a view), grant these without the lists
-- of columns: the owner is locked, and the bridge's accounts stay limited to columns by 51.
GRANT UPDATE (CAPA_CNT, BOOKED_CNT, REMAIN_CNT, EXT_QUOTA_CNT, UPD_DT) ON &SB_LEGACY..TB_SLOT TO &SB_OWNER. WITH GRANT OPTION;
GRANT INSERT (RESV_NO, SLOT_NO, PSN_NO, SERIES_CD, STAT_CD, IF_OP_ID, RMK, REG_DT, UPD_DT) ON &SB_LEGACY..TB_RESV TO &SB_OWNER. WITH GRANT OPTION;
GRANT UPDATE (STAT_CD, UPD_DT) ON &SB_LEGACY..TB_RESV TO &SB_OWNER. WITH GRANT OPTION;
SPOOL OFF
