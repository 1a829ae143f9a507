-- 적용되지 않은 예약의 목록을 SB_UNAPPLIED에 넣는 SQL*Loader 제어 파일. 첫 줄(열 이름)은 건너뜁니다.
--   sqlldr userid=... control=94_unapplied.ctl data=unapplied.csv skip=1 bad=unapplied.bad
-- 제휴사 목록은 CONSTANT 'LEDGER'를 제휴사 이름으로 바꾼 사본을 씁니다. 목록의 끝은  *,합계,position=번호  입니다 (제휴사 목록은 합계까지).
-- Loads the list of unapplied bookings; the first line is skipped. For a partner's list put the partner's name for
-- LEDGER in a copy. The list ends by the line  *,SUM,position=NUMBER  (a partner's by  *,SUM )
LOAD DATA
CHARACTERSET UTF8
APPEND INTO TABLE SLOTBRIDGE.SB_UNAPPLIED
FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"'
TRAILING NULLCOLS
(
  SLOT_ID CHAR(60),
  UNITS INTEGER EXTERNAL,
  NOTE CHAR(60),
  LOADED_AT SYSDATE,
  SOURCE_CD CONSTANT 'LEDGER'
)
