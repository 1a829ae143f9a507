//! Every problem code: status, what a client may do, texts for users, and what the documentation says.

use crate::domain::{Refusal, Retry};

macro_rules! codes {
    ($($variant:ident $code:literal $status:literal $retry:ident
        title $title:literal en $en:literal ko $ko:literal doc $doc:literal;)*) => {
        /// The closed list of problem codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($variant,)* }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// Stable name, also the label of a metric.
            pub fn code(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            /// HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// What a client may do with its idempotency key.
            pub fn retry(self) -> Retry {
                match self { $(Code::$variant => Retry::$retry,)* }
            }

            /// The same for every occurrence, for developers.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }

            /// May be shown to a user who reads English.
            pub fn text_en(self) -> &'static str {
                match self { $(Code::$variant => $en,)* }
            }

            /// May be shown to a user who reads Korean.
            pub fn text_ko(self) -> &'static str {
                match self { $(Code::$variant => $ko,)* }
            }

            /// When it happens and what to do, for the documentation.
            pub fn doc(self) -> &'static str {
                match self { $(Code::$variant => $doc,)* }
            }
        }
    };
}

codes! {
    SlotFull "slot_full" 409 NewKey
        title "Slot is full"
        en "This time was just taken. Please choose another."
        ko "방금 마감된 시간입니다. 다른 시간을 선택해 주세요."
        doc "No unit was free when the request was decided. `alternatives` lists free slots nearby; `retry_after_ms`, where present, says when more units of this slot may be free.";
    SlotClosed "slot_closed" 409 Never
        title "Slot is closed"
        en "This time can no longer be booked. Please choose another."
        ko "예약이 종료된 시간입니다. 다른 시간을 선택해 주세요."
        doc "The agency closed the slot, or its cutoff has passed.";
    SlotChanged "slot_changed" 409 NewKey
        title "Slot has changed"
        en "The details of this appointment have changed. Please check them again."
        ko "예약 정보가 변경되었습니다. 변경된 내용을 확인해 주세요."
        doc "Time, place, product or dose changed since `seen_cursor`. Show the new definition in `slot`; send a new key with `accept_version`.";
    NotOpenYet "not_open_yet" 409 NewKey
        title "Booking is not open yet"
        en "Booking for this time has not opened yet."
        ko "아직 예약이 시작되지 않았습니다."
        doc "`opens_at` says when, on the bridge's clock.";
    SeriesMismatch "series_mismatch" 409 Never
        title "Slot is of another series"
        en "This time is not for the chosen vaccination."
        ko "선택하신 접종에 해당하지 않는 시간입니다."
        doc "`series` is not the series of the slot.";
    SlotNotOffered "slot_not_offered" 409 Never
        title "Slot is not sold through partners"
        en "This time cannot be booked here. The agency's page says how to book it."
        ko "이 시간은 여기에서 예약할 수 없습니다. 기관 안내 페이지를 확인해 주세요."
        doc "The agency publishes slots of this class and sells them only itself. Nothing was taken.";
    UnknownSlot "unknown_slot" 404 Never
        title "No such slot"
        en "This time does not exist any more. Please choose another."
        ko "존재하지 않는 예약 시간입니다. 다른 시간을 선택해 주세요."
        doc "No slot with this id is published to the caller.";
    PersonAlreadyBooked "person_already_booked" 409 Never
        title "The person has a booking with the caller"
        en "You already have a booking."
        ko "이미 예약하신 내역이 있습니다."
        doc "Only about the caller's own booking of this person in the series; `booking_id` names it.";
    NotBookable "not_bookable" 403 Never
        title "The person cannot be booked"
        en "The booking could not be made. The agency's page shows the reason after you sign in."
        ko "예약을 진행할 수 없습니다. 기관 안내 페이지에 로그인하시면 사유를 확인하실 수 있습니다."
        doc "One constant answer for everything about a person that the caller did not itself cause. `help_url` leads to the page where the person reads the reason.";
    UnknownPersonToken "unknown_person_token" 404 Never
        title "No such person token"
        en "Please verify your identity again."
        ko "본인 확인을 다시 진행해 주세요."
        doc "The token is forged, damaged, of another purpose or of another partner: nobody is told which.";
    PersonTokenExpired "person_token_expired" 410 Never
        title "The person token has expired"
        en "Please verify your identity again."
        ko "본인 확인 유효기간이 지났습니다. 다시 확인해 주세요."
        doc "The token's epoch has ended. Get a new token, and a new key with it.";
    UnknownBooking "unknown_booking" 404 Never
        title "No such booking"
        en "The booking was not found."
        ko "예약 내역을 찾을 수 없습니다."
        doc "The caller has no booking with this id. Another partner's booking reads the same.";
    PreconditionFailed "precondition_failed" 412 Never
        title "The booking has changed"
        en "The booking has changed in the meantime. Please check it again."
        ko "예약 내용이 변경되었습니다. 다시 확인해 주세요."
        doc "`If-Match` is not the booking's ETag. Read the booking and decide again.";
    IdempotencyKeyReused "idempotency_key_reused" 422 Never
        title "The key was used for another request"
        en "The request could not be processed. Please try again from the start."
        ko "요청을 처리할 수 없습니다. 처음부터 다시 시도해 주세요."
        doc "The Idempotency-Key is known with other members, another path or another method. Nothing was decided.";
    RequestTooOld "request_too_old" 422 Never
        title "first_sent_at is out of range"
        en "The request could not be processed. Please try again from the start."
        ko "요청 시간이 지났습니다. 처음부터 다시 시도해 주세요."
        doc "The key is unknown and `first_sent_at` is more than 24 h old or more than 60 s ahead. Nothing is stored, so an old retry never books anew.";
    TooManyRefusals "too_many_refusals" 429 SameKey
        title "Too many refused requests"
        en "Too many attempts. Please try again later."
        ko "시도 횟수가 많습니다. 잠시 후 다시 시도해 주세요."
        doc "The caller is over its budget of refused keys. Nothing was decided.";
    TooManyPending "too_many_pending" 429 SameKey
        title "Too many bookings wait for the agency"
        en "Many people are booking. Please try again in a moment."
        ko "이용자가 많습니다. 잠시 후 다시 시도해 주세요."
        doc "The slot is booked on request, and as many requests as allowed wait for the agency's system already. Nothing was decided. Repeat with the same key.";
    Settling "settling" 503 SameKey
        title "The service is recovering"
        en "Booking is paused at the moment. Please try again in a moment."
        ko "현재 예약이 일시 중단되었습니다. 잠시 후 다시 시도해 주세요."
        doc "The bridge was restored from a backup and is reading what the agency's system holds. Nothing was decided. Repeat with the same key.";
    StoppedByAgency "stopped_by_agency" 503 SameKey
        title "The agency has stopped bookings"
        en "Booking is paused at the moment. Please try again later."
        ko "현재 예약이 일시 중단되었습니다. 잠시 후 다시 시도해 주세요."
        doc "The agency's switch says STOP: nothing is booked, changed or cancelled until it is turned back. Bookings that were acknowledged stand. Nothing was decided. Repeat with the same key.";
    MissingIdempotencyKey "missing_idempotency_key" 400 Never
        title "Idempotency-Key is missing"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "Every POST that changes state needs one.";
    BadIdempotencyKey "bad_idempotency_key" 400 Never
        title "Idempotency-Key is malformed"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "Exactly one header, a structured-field string or bare, `[A-Za-z0-9._~-]{16,64}`.";
    UnknownRequest "unknown_request" 404 SameKey
        title "No such request"
        en "The request was not found."
        ko "요청 내역을 찾을 수 없습니다."
        doc "The key is not known. This is no proof that the request will not be decided: repeat it with the same key.";
    RequestInProgress "request_in_progress" 409 SameKey
        title "The request is being decided"
        en "Your request is being processed. Please wait a moment."
        ko "요청을 처리하고 있습니다. 잠시만 기다려 주세요."
        doc "No durable answer within the time allowed. Repeat with the same key, or read `/v1/booking-requests/{key}`.";
    MalformedJson "malformed_json" 400 Never
        title "The body is not JSON"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "The body is not one JSON value, or is nested too deeply.";
    InvalidUtf8 "invalid_utf8" 400 Never
        title "The text is not UTF-8"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "Body, path or query is not UTF-8.";
    UnknownMember "unknown_member" 400 Never
        title "Unknown member"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "The body has a member that the operation does not know; `member` names it where it is a plain word.";
    DuplicateMember "duplicate_member" 400 Never
        title "A member stands twice"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "`member` names it.";
    MissingMember "missing_member" 400 Never
        title "A member is missing"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "`member` names it.";
    WrongType "wrong_type" 400 Never
        title "A member has the wrong type"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "`member` names it. The value is never repeated.";
    InvalidValue "invalid_value" 400 Never
        title "A member has an invalid value"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "`member` names it and `detail` says what is allowed. The value is never repeated.";
    PartnerRefPersonal "partner_ref_personal" 400 Never
        title "partner_ref looks like personal data"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "`partner_ref` looks like a telephone number or a resident registration number. Use a reference that says nothing about a person.";
    BadParameter "bad_parameter" 400 Never
        title "A parameter is malformed"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "Path or query: `member` names the parameter and `detail` says what is allowed. Feed parameters have one spelling and one order (`afterChangeNumber`, `limit`, `walk`), because pages are shared.";
    BodyTooLarge "body_too_large" 413 Never
        title "The body is too large"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "Bodies have at most 64 KiB.";
    UnsupportedMediaType "unsupported_media_type" 415 Never
        title "The body is not application/json"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "Bodies are `application/json` in UTF-8, without Content-Encoding.";
    RequestTimeout "request_timeout" 408 SameKey
        title "The body did not arrive in time"
        en "The connection is slow. Please try again."
        ko "연결이 지연되고 있습니다. 다시 시도해 주세요."
        doc "The whole body has to arrive within the time allowed. Nothing was decided.";
    MethodNotAllowed "method_not_allowed" 405 Never
        title "Method not allowed"
        en "The request could not be processed."
        ko "요청을 처리할 수 없습니다."
        doc "`Allow` lists what the resource answers to.";
    NotFound "not_found" 404 Never
        title "No such resource"
        en "The page was not found."
        ko "페이지를 찾을 수 없습니다."
        doc "The path names nothing.";
    UnknownFeed "unknown_feed" 404 Never
        title "No such feed"
        en "The page was not found."
        ko "페이지를 찾을 수 없습니다."
        doc "`GET /v1/feeds` lists the caller's feeds.";
    UnknownSnapshot "unknown_snapshot" 404 Never
        title "No such snapshot"
        en "The page was not found."
        ko "페이지를 찾을 수 없습니다."
        doc "Snapshots are kept for a while only. Ask for `/v1/feeds/{feed}/snapshot` again.";
    FeedHeld "feed_held" 503 SameKey
        title "The data is held"
        en "This information is not available at the moment. Please try again later."
        ko "현재 정보를 제공할 수 없습니다. 잠시 후 다시 시도해 주세요."
        doc "What the operation reads is held: `reason` is `approval`, `drift`, `guard` or `row_jump`, and `GET /v1/feeds` says since when. A held feed itself stays readable at its last published state, unless it is about persons and its approval is not in force. Bookings go on. Wait for `Retry-After`.";
    CursorExpired "cursor_expired" 410 Never
        title "The cursor is too old"
        en "Please reload the page."
        ko "화면을 새로 고쳐 주세요."
        doc "Deletions after this cursor were purged and the walk began before that. Begin again with a snapshot or without `afterChangeNumber`.";
    CursorNotReached "cursor_not_reached" 412 SameKey
        title "The cursor is not reached yet"
        en "Please try again in a moment."
        ko "잠시 후 다시 시도해 주세요."
        doc "`Min-Cursor` is ahead of the durable position.";
    Unauthenticated "unauthenticated" 401 Never
        title "The caller is not known"
        en "The service is not available."
        ko "서비스를 이용할 수 없습니다."
        doc "No valid key (loopback) or client certificate (network). A bearer key on the network listener is refused too.";
    MisdirectedRequest "misdirected_request" 421 Never
        title "This host is not served here"
        en "The service is not available."
        ko "서비스를 이용할 수 없습니다."
        doc "The Host is not a configured one.";
    ReceiptInvalid "receipt_invalid" 403 Never
        title "The consent receipt is not valid"
        en "Please give your consent again."
        ko "동의 절차를 다시 진행해 주세요."
        doc "Signature, issuer, partner, purpose, series or commitment does not hold.";
    ReceiptExpired "receipt_expired" 403 Never
        title "The consent receipt has expired"
        en "Please give your consent again."
        ko "동의 유효시간이 지났습니다. 다시 동의해 주세요."
        doc "Receipts are good for 10 minutes.";
    ReceiptUsed "receipt_used" 409 Never
        title "The consent receipt was used"
        en "Please give your consent again."
        ko "이미 사용된 동의입니다. 다시 동의해 주세요."
        doc "A receipt is good for one call. This route stores no reply, so a lost answer needs a new receipt.";
    TokenLimitReached "token_limit_reached" 429 SameKey
        title "The limit of person lookups is reached"
        en "The service is not available at the moment. Please try again later."
        ko "현재 서비스를 이용할 수 없습니다. 나중에 다시 시도해 주세요."
        doc "The absolute limit on distinct persons of a day or an epoch, as approved.";
    RateLimited "rate_limited" 429 SameKey
        title "Too many requests"
        en "Many people are booking. Please try again in a moment."
        ko "이용자가 많습니다. 잠시 후 다시 시도해 주세요."
        doc "Over the caller's rate. Nothing was decided. Wait for `Retry-After` and repeat with the same key.";
    Overloaded "overloaded" 503 SameKey
        title "Too many requests wait"
        en "Many people are booking. Please try again in a moment."
        ko "이용자가 많습니다. 잠시 후 다시 시도해 주세요."
        doc "The queue to the desk is full. Nothing was decided. Wait for `Retry-After` and repeat with the same key.";
    NotDurable "not_durable" 503 SameKey
        title "The ledger could not be written"
        en "A disturbance occurred. Please try again in a moment."
        ko "일시적인 장애가 발생했습니다. 잠시 후 다시 시도해 주세요."
        doc "Whether the request took effect is known once the bridge is back: repeat with the same key.";
    NotReady "not_ready" 503 SameKey
        title "The bridge is starting"
        en "The service is starting. Please try again in a moment."
        ko "서비스를 준비하고 있습니다. 잠시 후 다시 시도해 주세요."
        doc "What the operation needs is not loaded yet. Wait for `Retry-After`.";
    Internal "internal" 500 SameKey
        title "Internal error"
        en "A disturbance occurred. Please try again in a moment."
        ko "일시적인 장애가 발생했습니다. 잠시 후 다시 시도해 주세요."
        doc "A fault of the bridge; `X-Request-Id` finds it in the log.";
}

impl Code {
    /// `slot-full`: the last segment of the problem's `type`.
    pub fn slug(self) -> String {
        self.code().replace('_', "-")
    }

    pub fn from_slug(slug: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.slug() == slug)
    }
}

impl From<Refusal> for Code {
    fn from(refusal: Refusal) -> Code {
        match refusal {
            Refusal::UnknownSlot => Code::UnknownSlot,
            Refusal::NotOpenYet => Code::NotOpenYet,
            Refusal::SlotClosed => Code::SlotClosed,
            Refusal::SlotFull => Code::SlotFull,
            Refusal::SlotChanged => Code::SlotChanged,
            Refusal::SeriesMismatch => Code::SeriesMismatch,
            Refusal::SlotNotOffered => Code::SlotNotOffered,
            Refusal::PersonAlreadyBooked => Code::PersonAlreadyBooked,
            Refusal::NotBookable => Code::NotBookable,
            Refusal::UnknownBooking => Code::UnknownBooking,
            Refusal::PreconditionFailed => Code::PreconditionFailed,
            Refusal::IdempotencyKeyReused => Code::IdempotencyKeyReused,
            Refusal::RequestTooOld => Code::RequestTooOld,
            Refusal::ReceiptUsed => Code::ReceiptUsed,
            Refusal::TokenLimitReached => Code::TokenLimitReached,
            Refusal::TooManyRefusals => Code::TooManyRefusals,
            Refusal::TooManyPending => Code::TooManyPending,
            Refusal::Settling => Code::Settling,
            Refusal::StoppedByAgency => Code::StoppedByAgency,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_refusal_of_the_desk_keeps_its_name_and_its_retry() {
        for refusal in Refusal::ALL {
            let code = Code::from(refusal);
            assert_eq!((code.code(), code.retry()), (refusal.code(), refusal.retry()));
        }
    }

    #[test]
    fn every_code_is_named_once_and_has_texts_in_both_languages() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..600).contains(&code.status()), "{code:?}");
            assert!(code.text_ko().chars().any(|c| ('가'..='힣').contains(&c)), "{code:?}");
            assert!(!code.text_en().is_empty() && !code.title().is_empty() && !code.doc().is_empty(), "{code:?}");
            assert_eq!(Code::from_slug(&code.slug()), Some(*code));
        }
    }
}
