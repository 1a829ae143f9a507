-- 21_example_triggers: 예시의 변형. 카운터를 트리거가 지키는 시스템 (allotment.maintained_by = trigger)을 시험할 때만.
-- 브리지는 기관 테이블에 트리거를 만들지 않습니다: 이것은 "기관이 이미 갖고 있는 트리거"의 예입니다.
-- A variant of the example: counters kept by a trigger. The bridge never makes triggers; this stands for one that the
-- agency has already.
@@01_settings.sql
SPOOL sb_21_example_triggers.log
ALTER SESSION SET CURRENT_SCHEMA = &SB_LEGACY.;

CREATE OR REPLACE TRIGGER TR_RESV_COUNT
AFTER INSERT OR UPDATE OF STAT_CD, SLOT_NO OR DELETE ON TB_RESV
FOR EACH ROW
BEGIN
  IF (UPDATING OR DELETING) AND :OLD.STAT_CD <> 'C' THEN
    UPDATE TB_SLOT SET BOOKED_CNT = BOOKED_CNT - 1, REMAIN_CNT = REMAIN_CNT + 1 WHERE SLOT_NO = :OLD.SLOT_NO;
  END IF;
  IF (INSERTING OR UPDATING) AND :NEW.STAT_CD <> 'C' THEN
    UPDATE TB_SLOT SET BOOKED_CNT = BOOKED_CNT + 1, REMAIN_CNT = REMAIN_CNT - 1 WHERE SLOT_NO = :NEW.SLOT_NO;
  END IF;
END;
/
SHOW ERRORS TRIGGER TR_RESV_COUNT
SPOOL OFF
