-- 51_grants_write_procedure: 쓰기 계정 하나, 방식 procedure (51이 부릅니다). 이것이 전부입니다.
-- One write account, body procedure. This is all.
GRANT EXECUTE ON SB_API TO &1.;
