//! L301, L303 to L310: tokens, linkage information, epochs and lookups.

use crate::lint::judge::Judge;
use crate::lint::place::Step::{At, Key};
use crate::mapping::transform::TokenScope;
use crate::mapping::{Class, Drawn, FeedKind, Op, Role};

/// Bits of a random number for an internal id.
const ID_BITS_MIN: u32 = 112;
const TOKEN_BITS_MIN: u32 = 64;
/// A limit above the population of Korea is none.
const PERSONS_ALL: u32 = 52_000_000;

pub(in crate::lint) fn check(judge: &mut Judge<'_>) {
    for drawn in &judge.parts.mappings {
        tokens(judge, drawn);
        linkage(judge, drawn);
        epochs(judge, drawn);
        lookups(judge, drawn);
    }
}

fn tokens(judge: &mut Judge<'_>, drawn: &Drawn) {
    for (at, field, column) in judge.published(drawn) {
        let path = |key: &'static str| [Key("field"), At(at), Key("transform"), Key(key)];
        let words: Vec<&str> = column.name.split('_').collect();
        let hashed = ["HASH", "MD5", "SHA", "SHA1", "SHA256", "SHA512", "ENC", "CRYPT", "ENCRYPTED"];
        if hashed.iter().any(|word| words.contains(word)) && field.transform.op() != Op::PersonToken {
            let ko = format!("{}은(는) 이름으로 보아 해시나 암호문입니다.", column.name);
            judge.say(
                "L301",
                &drawn.file,
                &path("op"),
                ko,
                format!("{} is a hash or ciphertext by its name", column.name),
            );
        }
        if field.transform.op() != Op::TokenRandom {
            continue;
        }
        let is_id = column.class == Class::InternalId;
        let least = if is_id { ID_BITS_MIN } else { TOKEN_BITS_MIN };
        if let Some(bits) = field.transform.bits.as_ref().map(|bits| *bits.get_ref()).filter(|bits| *bits < least) {
            let (ko, en) = (
                format!("{bits}비트이며 최소는 {least}비트입니다."),
                format!("{bits} bits, at least {least} are needed"),
            );
            judge.say("L303", &drawn.file, &path("bits"), ko, en);
        }
        let plain = [Class::Public, Class::Operational, Class::OrgPublic];
        let for_all = field.transform.scope.as_ref().is_some_and(|scope| *scope.get_ref() == TokenScope::All);
        if for_all && !plain.contains(&column.class) {
            let ko = format!("{}의 번호를 모든 제휴사가 함께 씁니다.", column.name);
            judge.say(
                "L304",
                &drawn.file,
                &path("scope"),
                ko,
                format!("all partners see the same number of {}", column.name),
            );
        }
        if is_id {
            let ko = format!("{}의 번호가 바뀌지 않습니다.", column.name);
            judge.say("L310", &drawn.file, &path("op"), ko, format!("the number of {} never changes", column.name));
        }
    }
}

fn linkage(judge: &mut Judge<'_>, drawn: &Drawn) {
    let Some(object) = judge.object(drawn) else { return };
    let is_linkage = |name: &str| object.column(name).is_some_and(|column| column.class == Class::LinkageId);
    for (at, field, column) in judge.published(drawn) {
        if column.class == Class::LinkageId && field.transform.op() != Op::OprfIndex {
            let ko = format!("{}을(를) 내보냅니다.", column.name);
            let path = [Key("field"), At(at), Key("transform"), Key("op")];
            judge.say(
                "L305",
                &drawn.file,
                &path,
                ko,
                format!("{} leaves by `{}`", column.name, field.transform.op().code()),
            );
        }
    }
    for (at, filter) in drawn.mapping.filters.iter().enumerate().filter(|(_, f)| is_linkage(f.column.get_ref())) {
        let ko = format!("{}으로 선별합니다.", filter.column.get_ref());
        let path = [Key("filter"), At(at), Key("column")];
        judge.say("L305", &drawn.file, &path, ko, format!("a filter reads {}", filter.column.get_ref()));
    }
    let key = drawn.mapping.feed.id.source.get_ref();
    if is_linkage(key) {
        let path = [Key("feed"), Key("id"), Key("source")];
        judge.say(
            "L305",
            &drawn.file,
            &path,
            format!("{key}이(가) 피드의 키입니다."),
            format!("items are named by {key}"),
        );
    }
    for column in object.columns.iter().filter(|column| is_linkage(&column.name)) {
        if column.material || column.role.is_some_and(|role| role != Role::Ci) {
            let ko = format!("{}에 내부 대조 외의 용도가 있습니다.", column.name);
            let en = format!("{} has a role besides the lookup in memory", column.name);
            judge.say("L305", &drawn.file, &[Key("source"), Key("object")], ko, en);
        }
    }
}

fn epochs(judge: &mut Judge<'_>, drawn: &Drawn) {
    let feed = &drawn.mapping.feed;
    let most = judge.parts.policy.as_ref().map(|policy| policy.risk.epoch_days_max);
    if let (Some(epoch), Some(most)) = (feed.epoch.as_ref().map(|epoch| epoch.get_ref().0), most)
        && epoch > most
    {
        let (ko, en) =
            (format!("{epoch}일이며 정책의 한도는 {most}일입니다."), format!("{epoch} days, the policy allows {most}"));
        judge.say("L306", &drawn.file, &[Key("feed"), Key("epoch")], ko, en);
    }
    let token = drawn.mapping.fields.iter().position(|field| field.transform.op() == Op::PersonToken);
    if let Some(at) = token.filter(|_| drawn.kind == FeedKind::Eligibility && feed.epoch.is_none()) {
        let path = [Key("field"), At(at), Key("transform"), Key("op")];
        judge.say("L309", &drawn.file, &path, "주기가 없습니다.", "person_token without [feed] epoch");
    }
}

fn lookups(judge: &mut Judge<'_>, drawn: &Drawn) {
    let partner = judge.partner(drawn).map(|partner| partner.lookup.get_ref());
    let Some(rule) = &drawn.mapping.lookup else {
        if drawn.kind == FeedKind::Eligibility && judge.holds_persons(drawn) {
            let en = "persons can be looked up and there is no [lookup]";
            judge.say("L307", &drawn.file, &[Key("feed"), Key("mode")], "[lookup]이 없습니다.", en);
        }
        return;
    };
    let given = [
        ("persons_per_day_max", *rule.persons_per_day_max.get_ref(), partner.map(|p| p.persons_per_day_max)),
        ("persons_per_epoch_max", *rule.persons_per_epoch_max.get_ref(), partner.map(|p| p.persons_per_epoch_max)),
    ];
    for (key, limit, of_partner) in given {
        let path = [Key("lookup"), Key(key)];
        if limit >= PERSONS_ALL {
            let ko = format!("{key}가 전체 인구보다 큽니다.");
            judge.say("L307", &drawn.file, &path, ko, format!("{key} is above the population: no limit"));
        } else if let Some(most) = of_partner.filter(|most| limit > *most) {
            let ko = format!("{key}가 제휴사의 한도 {most}보다 큽니다.");
            judge.say("L308", &drawn.file, &path, ko, format!("{key} is above the partner's {most}"));
        }
    }
}
