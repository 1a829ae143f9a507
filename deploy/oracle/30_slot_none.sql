-- 30_slot_none: 피드만. on_request와 같은 본문입니다. / Feeds only: the same body as on_request.
@@30_slot_on_request.sql
