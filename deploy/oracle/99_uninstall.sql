-- 99_uninstall: 모두 지우기. 94를 마친 뒤에만: 쥔 단위가 남아 있으면 멈춥니다. 기관 테이블의 행과 열은 그대로입니다
-- (브리지가 넣은 예약은 기관의 예약입니다). 지우기 전에 SB_APPLIED를 내보내 두면 뒤에 대조할 수 있습니다.
-- Removes everything. Only after 94: it stops while units are held. Rows of the agency's tables stay: reservations that
-- the bridge made are the agency's. Export SB_APPLIED before, if it should be compared later.
@@01_settings.sql
SPOOL sb_99_uninstall.log

BEGIN
  FOR R IN (SELECT COUNT(*) AS SLOTS FROM &SB_OWNER..SB_ESCROW WHERE UNITS > 0) LOOP
    IF R.SLOTS > 0 THEN
      RAISE_APPLICATION_ERROR(-20000, 'the bridge holds units in ' || R.SLOTS || ' slots: run 94_return_orphans first');
    END IF;
  END LOOP;
END;
/

DROP USER &SB_READ_A.;
DROP USER &SB_READ_B.;
DROP USER &SB_WRITE_A.;
DROP USER &SB_WRITE_B.;
DROP USER &SB_OWNER. CASCADE;
DROP PROFILE SB_BRIDGE_PROFILE CASCADE;

-- 자원 그룹 (12를 돌렸을 때만) / the resource group, where 12 was run
DECLARE
  N_GROUPS PLS_INTEGER;
BEGIN
  SELECT COUNT(*) INTO N_GROUPS FROM DBA_RSRC_CONSUMER_GROUPS WHERE CONSUMER_GROUP = 'SB_BRIDGE';
  IF N_GROUPS > 0 THEN
    DBMS_RESOURCE_MANAGER.CLEAR_PENDING_AREA();
    DBMS_RESOURCE_MANAGER.CREATE_PENDING_AREA();
    FOR R IN (SELECT PLAN FROM DBA_RSRC_PLAN_DIRECTIVES WHERE GROUP_OR_SUBPLAN = 'SB_BRIDGE') LOOP
      DBMS_RESOURCE_MANAGER.DELETE_PLAN_DIRECTIVE(R.PLAN, 'SB_BRIDGE');
    END LOOP;
    DBMS_RESOURCE_MANAGER.DELETE_CONSUMER_GROUP('SB_BRIDGE');
    DBMS_RESOURCE_MANAGER.VALIDATE_PENDING_AREA();
    DBMS_RESOURCE_MANAGER.SUBMIT_PENDING_AREA();
  END IF;
END;
/
SPOOL OFF
