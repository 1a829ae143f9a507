-- 94_return_none: on_request와 같습니다. / As on_request.
@@94_return_on_request.sql
