-- 12_resource_group: Resource Manager 소비자 그룹. Enterprise Edition 기능입니다. SE라면 이 스크립트를 건너뜁니다.
-- CPU 상한, 잠금을 쥔 채 쉬는 세션 끊기(기본 5초), 계정으로 매핑. 계획을 켜지는 않습니다: 맨 아래 줄은 DBA가 직접.
-- MAX_IDLE_BLOCKER_TIME은 PMON이 주기적으로 검사하므로 실제로는 더 늦게(1분 안팎) 끊길 수 있습니다. 실측하십시오.
-- A Resource Manager group (Enterprise Edition): CPU cap, idle blockers are cut, mapped by account. It does not switch
-- the plan on: the last line is the DBA's. PMON looks from time to time, so a cut may come up to a minute later: measure.
@@01_settings.sql
SPOOL sb_12_resource_group.log

DECLARE
  N_PLAN PLS_INTEGER;
BEGIN
  DBMS_RESOURCE_MANAGER.CLEAR_PENDING_AREA();
  DBMS_RESOURCE_MANAGER.CREATE_PENDING_AREA();
  DBMS_RESOURCE_MANAGER.CREATE_CONSUMER_GROUP(
    consumer_group => 'SB_BRIDGE',
    comment        => 'slotbridge: bookings of partners');
  SELECT COUNT(*) INTO N_PLAN FROM DBA_RSRC_PLANS WHERE PLAN = UPPER('&SB_PLAN.');
  IF N_PLAN = 0 THEN
    DBMS_RESOURCE_MANAGER.CREATE_PLAN(
      plan    => UPPER('&SB_PLAN.'),
      comment => 'native work first, slotbridge capped');
    DBMS_RESOURCE_MANAGER.CREATE_PLAN_DIRECTIVE(
      plan             => UPPER('&SB_PLAN.'),
      group_or_subplan => 'OTHER_GROUPS',
      comment          => 'everything that is not the bridge',
      mgmt_p1          => 100 - &SB_CPU_MAX.);
  END IF;
  DBMS_RESOURCE_MANAGER.CREATE_PLAN_DIRECTIVE(
    plan                  => UPPER('&SB_PLAN.'),
    group_or_subplan      => 'SB_BRIDGE',
    comment               => 'capped, and never an idle blocker',
    mgmt_p1               => CASE WHEN N_PLAN = 0 THEN &SB_CPU_MAX. END,
    max_utilization_limit => &SB_CPU_MAX.,
    max_idle_blocker_time => &SB_BLOCKER_SECS.);
  DBMS_RESOURCE_MANAGER.SET_CONSUMER_GROUP_MAPPING(
    DBMS_RESOURCE_MANAGER.ORACLE_USER, UPPER('&SB_READ_A.'), 'SB_BRIDGE');
  DBMS_RESOURCE_MANAGER.SET_CONSUMER_GROUP_MAPPING(
    DBMS_RESOURCE_MANAGER.ORACLE_USER, UPPER('&SB_READ_B.'), 'SB_BRIDGE');
  DBMS_RESOURCE_MANAGER.SET_CONSUMER_GROUP_MAPPING(
    DBMS_RESOURCE_MANAGER.ORACLE_USER, UPPER('&SB_WRITE_A.'), 'SB_BRIDGE');
  DBMS_RESOURCE_MANAGER.SET_CONSUMER_GROUP_MAPPING(
    DBMS_RESOURCE_MANAGER.ORACLE_USER, UPPER('&SB_WRITE_B.'), 'SB_BRIDGE');
  DBMS_RESOURCE_MANAGER.VALIDATE_PENDING_AREA();
  DBMS_RESOURCE_MANAGER.SUBMIT_PENDING_AREA();
END;
/

-- 매핑만으로는 그룹으로 옮기지 않습니다: 옮길 권한이 있어야 합니다. / The mapping needs the right to switch.
BEGIN
  DBMS_RESOURCE_MANAGER_PRIVS.GRANT_SWITCH_CONSUMER_GROUP(UPPER('&SB_READ_A.'), 'SB_BRIDGE', FALSE);
  DBMS_RESOURCE_MANAGER_PRIVS.GRANT_SWITCH_CONSUMER_GROUP(UPPER('&SB_READ_B.'), 'SB_BRIDGE', FALSE);
  DBMS_RESOURCE_MANAGER_PRIVS.GRANT_SWITCH_CONSUMER_GROUP(UPPER('&SB_WRITE_A.'), 'SB_BRIDGE', FALSE);
  DBMS_RESOURCE_MANAGER_PRIVS.GRANT_SWITCH_CONSUMER_GROUP(UPPER('&SB_WRITE_B.'), 'SB_BRIDGE', FALSE);
END;
/

PROMPT to switch the plan on: ALTER SYSTEM SET RESOURCE_MANAGER_PLAN = '&SB_PLAN.'
SELECT PLAN, GROUP_OR_SUBPLAN, MAX_UTILIZATION_LIMIT, MAX_IDLE_BLOCKER_TIME
  FROM DBA_RSRC_PLAN_DIRECTIVES WHERE PLAN = UPPER('&SB_PLAN.');
SPOOL OFF
