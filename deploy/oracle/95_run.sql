-- 95_run: 다시 켜기. 90이나 91 뒤라면 언제든. 94로 단위를 돌려준 뒤라면, 브리지의 원장은 아직 그 단위를 쥐었다고 알고
-- 있으므로, 운영자가 브리지의 단위를 맞춘 다음 01_settings의 SB_RECONCILED를 YES로 해야 켜집니다.
-- Switch on again, at any time after 90 or 91. After 94 the bridge's ledger still believes in the units that were given
-- back: the operator corrects that first, then sets SB_RECONCILED to YES in 01_settings.
@@01_settings.sql
SPOOL sb_95_run.log
ALTER SESSION SET CURRENT_SCHEMA = &SB_OWNER.;
DELETE FROM SB_GUARD WHERE WHAT = 'RECONCILED';
INSERT INTO SB_GUARD (WHAT, OK, AT_DT)
  SELECT 'RECONCILED', CASE WHEN '&SB_RECONCILED.' = 'YES'
    OR NOT EXISTS (SELECT 1 FROM SB_GUARD WHERE WHAT = 'RETURNED') THEN 1 ELSE 0 END, SYSDATE FROM DUAL;
-- 멈춘 때와 목록은 다시 켜면 옛것입니다. / The time of the stop and the lists are out of date from now on.
DELETE FROM SB_GUARD WHERE WHAT IN ('STOPPED', 'RETURNED');
DELETE FROM SB_UNAPPLIED;
UPDATE SB_FENCE SET TOKEN = 'OPEN';
UPDATE SB_CONTROL SET STATE = 'RUN';
COMMIT;
SELECT C.STATE, F.TOKEN FROM SB_CONTROL C, SB_FENCE F;
SPOOL OFF
