//! Checks of `catalog.toml`, `policy.toml` and `partners.toml` that types cannot make.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::catalogue::{Catalogue, Class, Column, ColumnType, Derived, Object, Role};
use super::error::RuleId;
use super::load::Problems;
use super::policy::{Partners, Policy, ReceiptKind, is_public_key};
use super::transform::Op;

const FILE: &str = "catalog.toml";
/// The desk remembers a used receipt for an hour; an issuer's clock may be a minute ahead of ours.
const RECEIPT_AGE_S_MAX: u32 = 3_000;

/// Where names stand in the catalogue's file; the typed catalogue is free of places.
#[derive(Deserialize)]
struct Places {
    object: Vec<ObjectPlace>,
}

#[derive(Deserialize)]
struct ObjectPlace {
    name: Spanned<String>,
    #[serde(default)]
    column: Vec<ColumnPlace>,
}

#[derive(Deserialize)]
struct ColumnPlace {
    name: Spanned<String>,
}

pub(super) fn check_catalogue(problems: &mut Problems<'_>, catalogue: &Catalogue) {
    let places: Option<Places> = problems.text(FILE).and_then(|text| toml::from_str(text).ok());
    let span_of = |object: usize, column: Option<usize>| -> Range<usize> {
        let object = places.as_ref().and_then(|p| p.object.get(object));
        let place = match column {
            None => object.map(|o| o.name.span()),
            Some(at) => object.and_then(|o| o.column.get(at)).map(|c| c.name.span()),
        };
        place.unwrap_or(0..0)
    };
    if catalogue.format != 1 {
        problems.add(FILE, 0..0, RuleId::Shape, "format must be 1", "this version reads format 1 only");
    }
    let mut names = BTreeSet::new();
    for (at, object) in catalogue.objects.iter().enumerate() {
        if !names.insert(object.name.as_str()) {
            problems.add(FILE, span_of(at, None), RuleId::Duplicate, "the object stands twice", "merge the two");
        }
        if let Some(view) = object.view.as_ref().filter(|view| !is_view(view)) {
            let help =
                "name one view of the interface schema: no base table, dictionary, `*`, database link or function";
            problems.add(FILE, span_of(at, None), RuleId::View, format!("‘{view}’ is not the name of a view"), help);
        } else if let Some((what, help)) = object_problem(object) {
            problems.add(FILE, span_of(at, None), RuleId::Catalogue, what, help);
        }
        let mut columns = BTreeSet::new();
        let mut roles: BTreeSet<Role> = BTreeSet::new();
        for (n, column) in object.columns.iter().enumerate() {
            let span = span_of(at, Some(n));
            if !columns.insert(column.name.as_str()) {
                problems.add(FILE, span.clone(), RuleId::Duplicate, "the column stands twice", "merge the two");
            }
            if column.role.is_some_and(|role| !roles.insert(role)) {
                let what = "another column of the object has the same role";
                problems.add(FILE, span.clone(), RuleId::Duplicate, what, "a role stands once in an object");
            }
            if let Some((what, help)) = column_problem(object, column) {
                problems.add(FILE, span, RuleId::Catalogue, what, help);
            }
        }
    }
}

type Problem = (String, &'static str);

fn object_problem(object: &Object) -> Option<Problem> {
    match &object.view {
        Some(_) if !object.columns.iter().any(|c| c.role == Some(Role::Key)) => {
            Some(("no column has the role `key`".to_owned(), "mark the column that names a row with role = \"key\""))
        }
        None if object.columns.iter().any(|c| !c.derived) => Some((
            "an object without a view has only derived columns".to_owned(),
            "name its view, or mark the columns derived = true",
        )),
        _ => None,
    }
}

fn column_problem(object: &Object, column: &Column) -> Option<Problem> {
    if !is_name(&column.name) {
        return Some((
            format!("‘{}’ is not the name of a column", column.name),
            "write it as the dictionary does, in capitals: no expression, no function",
        ));
    }
    if column.derived {
        return match Derived::find(object.name.as_str(), &column.name) {
            None => Some((format!("the bridge derives no {}", column.name), "remove derived = true")),
            Some((_, kind)) if kind != column.kind => {
                Some((format!("{} is derived as another type", column.name), "correct the type"))
            }
            Some(_) if column.is_operational() => {
                Some(("a derived column has no role and is not material".to_owned(), "remove role and material"))
            }
            Some(_) => None,
        };
    }
    if column.class == Class::OrgPublic && column.source.as_ref().is_none_or(|s| s.trim().is_empty()) {
        return Some((
            format!("{} is org_public and names no source", column.name),
            "add source = \"where the agency publishes it\"",
        ));
    }
    if column.role == Some(Role::Ci) && column.class != Class::LinkageId {
        return Some((format!("{} holds the CI and must be linkage_id", column.name), "correct the class"));
    }
    if column.role == Some(Role::RowScn) && (column.material || column.kind != ColumnType::Integer) {
        return Some((
            format!("{} is a commit number: an integer, and never material", column.name),
            "write type = \"integer\" and remove material",
        ));
    }
    None
}

/// A name that no base table and no view of the dictionary bears. That it is a view is what `check --connect` sees.
fn is_view(text: &str) -> bool {
    const NEVER: [&str; 9] = ["TB_", "TBL_", "T_", "TMP_", "ALL_", "DBA_", "USER_", "SYS", "X_"];
    is_name(text) && text != "DUAL" && !text.ends_with("_TB") && !NEVER.iter().any(|head| text.starts_with(head))
}

/// An identifier of Oracle: `SB_SLOT`, `UPD_DT`.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_uppercase())
        && text.len() <= 30
        && bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

pub(super) fn check_policy(problems: &mut Problems<'_>, catalogue: &Catalogue, policy: &Policy) {
    let file = "policy.toml";
    if *policy.format.get_ref() != 1 {
        let help = "this version reads format 1 only";
        problems.add(file, policy.format.span(), RuleId::Shape, "format must be 1", help);
    }
    for (class, rule) in &policy.class {
        let most = Op::allowed_at_most(*class);
        for op in rule.get_ref().transforms.iter().filter(|op| !most.contains(op)) {
            let what = format!("class {} can never allow `{}`", class.code(), op.code());
            let help = "a policy may narrow what a class allows, never widen it";
            problems.add(file, rule.span(), RuleId::Forbidden, what, help);
        }
    }
    for issuer in policy.receipts.issuers.iter().filter(|issuer| !is_public_key(&issuer.public_key)) {
        let what = format!("public_key of receipt issuer ‘{}’ is not an Ed25519 key in base64url", issuer.id);
        problems.add(file, 0..0, RuleId::Shape, what, "43 characters, no padding");
    }
    if policy.receipts.age_s_max > RECEIPT_AGE_S_MAX {
        let what = format!("receipts are remembered for an hour: age_s_max is {RECEIPT_AGE_S_MAX} at most");
        problems.add(file, 0..0, RuleId::Limit, what, "lower [receipts] age_s_max");
    }
    if policy.receipts.audit_sample_percent > 100 {
        let what = "audit_sample_percent is a share in percent".to_owned();
        problems.add(file, 0..0, RuleId::Limit, what, "write 0 to 100");
    }
    for restriction in &policy.restrictions {
        let Some(object) = catalogue.object(restriction.object.get_ref().as_str()) else {
            let what = format!("there is no object ‘{}’", restriction.object.get_ref());
            problems.add(file, restriction.object.span(), RuleId::Unknown, what, "objects stand in catalog.toml");
            continue;
        };
        for column in restriction.columns.iter().filter(|c| object.column(c.get_ref()).is_none()) {
            let what = format!("{} has no column {}", object.name, column.get_ref());
            problems.add(file, column.span(), RuleId::Unknown, what, "columns stand in catalog.toml");
        }
    }
}

pub(super) fn check_partners(problems: &mut Problems<'_>, policy: &Policy, partners: &Partners) {
    let file = "partners.toml";
    if *partners.format.get_ref() != 1 {
        let help = "this version reads format 1 only";
        problems.add(file, partners.format.span(), RuleId::Shape, "format must be 1", help);
    }
    let mut ids = BTreeSet::new();
    for partner in &partners.partners {
        if !ids.insert(partner.id.get_ref()) {
            problems.add(file, partner.id.span(), RuleId::Duplicate, "the partner stands twice", "remove one");
        }
        if partner.contract.ends < partner.contract.starts {
            let what = "the contract ends before it starts";
            problems.add(file, partner.id.span(), RuleId::Shape, what, "correct contract.starts or contract.ends");
        }
        let lookup = partner.lookup.get_ref();
        let per_day_max = match lookup.receipts {
            ReceiptKind::Issuer => policy.limits.persons_per_day_max,
            ReceiptKind::Partner => {
                policy.limits.self_signed_persons_per_day_max.min(policy.limits.persons_per_day_max)
            }
        };
        if lookup.persons_per_day_max > per_day_max {
            let what = format!("the policy allows lookups of {per_day_max} persons a day at most");
            problems.add(file, partner.lookup.span(), RuleId::Limit, what, "lower persons_per_day_max");
        }
        if lookup.persons_per_epoch_max > policy.limits.persons_per_epoch_max {
            let what = format!(
                "the policy allows lookups of {} persons an epoch at most",
                policy.limits.persons_per_epoch_max
            );
            problems.add(file, partner.lookup.span(), RuleId::Limit, what, "lower persons_per_epoch_max");
        }
        if lookup.receipts == ReceiptKind::Partner && lookup.receipt_public_key.is_none() {
            let what = "receipts signed by the partner need its key";
            problems.add(file, partner.lookup.span(), RuleId::Shape, what, "add receipt_public_key");
        }
        if lookup.receipt_public_key.as_ref().is_some_and(|key| !is_public_key(key)) {
            let what = "receipt_public_key is not an Ed25519 key in base64url";
            problems.add(file, partner.lookup.span(), RuleId::Shape, what, "43 characters, no padding");
        }
    }
}
