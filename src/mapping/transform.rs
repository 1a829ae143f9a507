//! The closed list of transforms: as written in a file (`TransformSpec`) and as meant (`Transform`).

use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::catalogue::{Class, ColumnType};

/// Bound of a bucket list, so that a page can show every label.
pub const EDGES_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Drop,
    Const,
    Keep,
    Enum,
    Lookup,
    Bucket,
    RoundTime,
    RoundNum,
    TopBottom,
    Generalize,
    TokenRandom,
    PersonToken,
    OprfIndex,
}

impl Op {
    pub fn code(self) -> &'static str {
        match self {
            Op::Drop => "drop",
            Op::Const => "const",
            Op::Keep => "keep",
            Op::Enum => "enum",
            Op::Lookup => "lookup",
            Op::Bucket => "bucket",
            Op::RoundTime => "round_time",
            Op::RoundNum => "round_num",
            Op::TopBottom => "top_bottom",
            Op::Generalize => "generalize",
            Op::TokenRandom => "token_random",
            Op::PersonToken => "person_token",
            Op::OprfIndex => "oprf_index",
        }
    }

    /// What a class can ever allow. A policy may allow less, never more.
    pub fn allowed_at_most(class: Class) -> &'static [Op] {
        use Op::*;
        match class {
            Class::UniqueId | Class::Direct | Class::Sensitive | Class::FreeText => &[Drop],
            Class::LinkageId => &[Drop, OprfIndex],
            Class::InternalId => &[Drop, TokenRandom, PersonToken],
            Class::SensitiveInferable => &[Drop, Bucket, RoundTime, RoundNum, TopBottom, Generalize],
            Class::Quasi => &[Drop, Enum, Lookup, Bucket, RoundTime, RoundNum, TopBottom, Generalize],
            Class::OrgPublic => &[Drop, Keep, RoundNum, Generalize],
            Class::Operational | Class::Public => {
                &[Drop, Keep, Enum, Lookup, Bucket, RoundTime, RoundNum, TopBottom, Generalize, TokenRandom]
            }
        }
    }

    /// Can the transform read a column of this type?
    pub fn reads(self, kind: ColumnType) -> bool {
        match self {
            Op::Drop | Op::Const | Op::Keep => true,
            Op::Enum | Op::Lookup | Op::Generalize | Op::TokenRandom => {
                matches!(kind, ColumnType::Text | ColumnType::Integer)
            }
            Op::Bucket | Op::RoundNum | Op::TopBottom => matches!(kind, ColumnType::Integer),
            Op::RoundTime => matches!(kind, ColumnType::Time),
            Op::PersonToken | Op::OprfIndex => true,
        }
    }
}

/// `transform = { op = "…", … }` as it stands in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformSpec {
    pub op: Spanned<Op>,
    #[serde(default)]
    pub value: Option<Spanned<Scalar>>,
    #[serde(default)]
    pub table: Option<Spanned<String>>,
    #[serde(default)]
    pub key: Option<Spanned<String>>,
    #[serde(default)]
    pub edges: Option<Spanned<Vec<i64>>>,
    #[serde(default)]
    pub labels: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub to: Option<Spanned<Scalar>>,
    #[serde(default)]
    pub low: Option<Spanned<i64>>,
    #[serde(default)]
    pub high: Option<Spanned<i64>>,
    #[serde(default)]
    pub hierarchy: Option<Spanned<String>>,
    #[serde(default)]
    pub level: Option<Spanned<String>>,
    #[serde(default)]
    pub bits: Option<Spanned<u32>>,
    #[serde(default)]
    pub scope: Option<Spanned<TokenScope>>,
    #[serde(default)]
    pub prefix: Option<Spanned<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    Bool(bool),
    Int(i64),
    Text(String),
}

/// Who shares the assigned number of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Each partner gets numbers of its own.
    Partner,
    /// All partners see the same number.
    All,
}

/// A transform with exactly the parameters it needs. Serialised for digests with every default written out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Transform {
    Drop,
    Const {
        value: Scalar,
    },
    /// Texts may get a prefix in front: a key as another feed publishes it.
    Keep {
        prefix: String,
    },
    /// First column of the table to its second.
    Enum {
        table: String,
    },
    Lookup {
        table: String,
        key: String,
        value: String,
    },
    /// `labels[i]` names `edges[i] ..= edges[i + 1] − 1`; the last is open above, the first below.
    Bucket {
        edges: Vec<i64>,
        labels: Vec<String>,
    },
    /// Down to a multiple of `step_ms` since midnight in Seoul.
    RoundTime {
        step_ms: i64,
    },
    /// Down to a multiple of `step`.
    RoundNum {
        step: i64,
    },
    /// Numbers below `low` become `low`, above `high` become `high`: the published ends mean "or beyond".
    TopBottom {
        low: i64,
        high: i64,
    },
    Generalize {
        hierarchy: String,
        level: String,
    },
    TokenRandom {
        bits: u32,
        scope: TokenScope,
    },
    PersonToken,
}

/// Why a transform cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTransform {
    pub span: Range<usize>,
    pub what: String,
    pub help: String,
    pub not_built: bool,
}

impl TransformSpec {
    pub fn op(&self) -> Op {
        *self.op.get_ref()
    }

    /// Checks that the parameters fit the op: all that it needs, none that it does not know.
    pub fn meaning(&self) -> Result<Transform, BadTransform> {
        self.refuse_strangers()?;
        Ok(match self.op() {
            Op::Drop => Transform::Drop,
            Op::Const => Transform::Const { value: self.need(&self.value, "value")?.clone() },
            Op::Keep => Transform::Keep { prefix: self.prefix_text()? },
            Op::Enum => Transform::Enum { table: self.need(&self.table, "table")?.clone() },
            Op::Lookup => Transform::Lookup {
                table: self.need(&self.table, "table")?.clone(),
                key: self.need(&self.key, "key")?.clone(),
                value: match self.need(&self.value, "value")? {
                    Scalar::Text(text) => text.clone(),
                    _ => return Err(self.bad(&self.value, "`value` of a lookup names a column of the table")),
                },
            },
            Op::Bucket => self.bucket()?,
            Op::RoundTime => Transform::RoundTime { step_ms: self.time_step()? },
            Op::RoundNum => match self.need(&self.to, "to")? {
                Scalar::Int(step) if *step >= 1 => Transform::RoundNum { step: *step },
                _ => return Err(self.bad(&self.to, "`to` must be a whole number of at least 1")),
            },
            Op::TopBottom => {
                let (low, high) = (*self.need(&self.low, "low")?, *self.need(&self.high, "high")?);
                if low >= high {
                    return Err(self.bad(&self.high, "`high` must be above `low`"));
                }
                Transform::TopBottom { low, high }
            }
            Op::Generalize => Transform::Generalize {
                hierarchy: self.need(&self.hierarchy, "hierarchy")?.clone(),
                level: self.need(&self.level, "level")?.clone(),
            },
            Op::TokenRandom => {
                let bits = *self.need(&self.bits, "bits")?;
                if !(64..=128).contains(&bits) || bits % 8 != 0 {
                    return Err(self.bad(&self.bits, "`bits` must be a multiple of 8 from 64 to 128"));
                }
                Transform::TokenRandom { bits, scope: *self.need(&self.scope, "scope")? }
            }
            Op::PersonToken => Transform::PersonToken,
            Op::OprfIndex => {
                return Err(BadTransform {
                    span: self.op.span(),
                    what: "`oprf_index` is not built yet".to_owned(),
                    help: "publish cohort rules instead (`mode = \"rules\"`)".to_owned(),
                    not_built: true,
                });
            }
        })
    }

    fn bucket(&self) -> Result<Transform, BadTransform> {
        let (edges, labels) = (self.need(&self.edges, "edges")?, self.need(&self.labels, "labels")?);
        if edges.is_empty() || edges.len() > EDGES_MAX || !edges.is_sorted_by(|a, b| a < b) {
            return Err(self.bad(&self.edges, "`edges` must be 1 to 64 ascending whole numbers"));
        }
        if labels.len() != edges.len() {
            let what = format!("{} edges need {} labels, one for each edge upwards", edges.len(), edges.len());
            return Err(self.bad(&self.labels, &what));
        }
        if labels.iter().enumerate().any(|(at, label)| label.is_empty() || labels[..at].contains(label)) {
            return Err(self.bad(&self.labels, "labels must differ and must not be empty"));
        }
        Ok(Transform::Bucket { edges: edges.clone(), labels: labels.clone() })
    }

    fn time_step(&self) -> Result<i64, BadTransform> {
        let steps = [("1m", 1), ("5m", 5), ("10m", 10), ("15m", 15), ("30m", 30), ("1h", 60), ("1d", 1_440)];
        let wanted = match self.need(&self.to, "to")? {
            Scalar::Text(text) => steps.iter().find(|(name, _)| name == text),
            _ => None,
        };
        match wanted {
            Some((_, minutes)) => Ok(minutes * 60_000),
            None => Err(self.bad(&self.to, "`to` must be one of 1m, 5m, 10m, 15m, 30m, 1h, 1d")),
        }
    }

    fn prefix_text(&self) -> Result<String, BadTransform> {
        let prefix = self.prefix.as_ref().map_or("", |p| p.get_ref());
        if is_prefix(prefix) {
            Ok(prefix.to_owned())
        } else {
            Err(self.bad(&self.prefix, "`prefix` is at most 8 characters of A-Z a-z 0-9 . -"))
        }
    }

    fn need<'a, T>(&'a self, value: &'a Option<Spanned<T>>, name: &str) -> Result<&'a T, BadTransform> {
        value.as_ref().map(Spanned::get_ref).ok_or_else(|| BadTransform {
            span: self.op.span(),
            what: format!("`{}` needs `{name}`", self.op().code()),
            help: format!("add `{name} = …` to the transform"),
            not_built: false,
        })
    }

    fn bad<T>(&self, at: &Option<Spanned<T>>, what: &str) -> BadTransform {
        BadTransform {
            span: at.as_ref().map_or(self.op.span(), Spanned::span),
            what: what.to_owned(),
            help: format!("correct the parameters of `{}`", self.op().code()),
            not_built: false,
        }
    }

    fn refuse_strangers(&self) -> Result<(), BadTransform> {
        let given = [
            ("value", self.value.as_ref().map(Spanned::span)),
            ("table", self.table.as_ref().map(Spanned::span)),
            ("key", self.key.as_ref().map(Spanned::span)),
            ("edges", self.edges.as_ref().map(Spanned::span)),
            ("labels", self.labels.as_ref().map(Spanned::span)),
            ("to", self.to.as_ref().map(Spanned::span)),
            ("low", self.low.as_ref().map(Spanned::span)),
            ("high", self.high.as_ref().map(Spanned::span)),
            ("hierarchy", self.hierarchy.as_ref().map(Spanned::span)),
            ("level", self.level.as_ref().map(Spanned::span)),
            ("bits", self.bits.as_ref().map(Spanned::span)),
            ("scope", self.scope.as_ref().map(Spanned::span)),
            ("prefix", self.prefix.as_ref().map(Spanned::span)),
        ];
        let known: &[&str] = match self.op() {
            Op::Drop | Op::PersonToken => &[],
            Op::Const => &["value"],
            Op::Keep => &["prefix"],
            Op::Enum => &["table"],
            Op::Lookup => &["table", "key", "value"],
            Op::Bucket => &["edges", "labels"],
            Op::RoundTime | Op::RoundNum => &["to"],
            Op::TopBottom => &["low", "high"],
            Op::Generalize => &["hierarchy", "level"],
            Op::TokenRandom => &["bits", "scope"],
            Op::OprfIndex => &["bits"],
        };
        let stranger =
            given.into_iter().find_map(|(name, span)| Some((name, span?)).filter(|_| !known.contains(&name)));
        match stranger {
            None => Ok(()),
            Some((name, span)) => Err(BadTransform {
                span,
                what: format!("`{}` takes no `{name}`", self.op().code()),
                help: format!("remove `{name}`"),
                not_built: false,
            }),
        }
    }
}

/// May the text stand in front of a key? Short, and of the characters of keys.
pub fn is_prefix(text: &str) -> bool {
    text.len() <= 8 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}
