-- 30_slot_quota: 기관이 단위를 배정하는 방식. 카운터에 배정분이 포함되므로 counter와 같은 본문입니다.
-- The agency assigns units; the counter includes what it assigned: the same body as counter.
@@30_slot_counter.sql
