-- 94_return_on_request: 이 방식은 단위를 쥐지 않습니다. 쥔 것이 있으면 설정의 SB_MODE가 틀린 것이므로 멈춥니다.
-- This mode holds no units. If some are held, SB_MODE of the settings is wrong: the script stops.
INSERT INTO SB_GUARD (WHAT, OK, AT_DT)
  SELECT 'MODE_FITS', CASE WHEN EXISTS (
    SELECT 1 FROM SB_RETURN_V V JOIN SB_SLOT_W S ON S.SLOT_ID = V.SLOT_ID WHERE &SB_SLOT_FILTER.) THEN 0 ELSE 1 END,
    SYSDATE FROM DUAL;
