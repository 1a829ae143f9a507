//! Arguments that several commands of a partner take. No secret is among them: secrets are files.

use std::path::PathBuf;

use crate::domain::Timestamp;
use crate::domain::geo::Place;
use crate::partner::choose::Wanted;
use crate::partner::{Access, Bridge, Issuer, PartnerError, Store, secret_file};

/// Which bridge, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct Link {
    /// The bridge's own address.
    #[arg(long, env = "SLOTBRIDGE_PARTNER_URL")]
    pub url: String,
    /// A bearer key (loopback), or certificate and private key as PEM; mode 0600.
    #[arg(long, value_name = "FILE", env = "SLOTBRIDGE_PARTNER_KEY_FILE")]
    pub key_file: PathBuf,
    /// Roots to believe instead of the system's, PEM.
    #[arg(long, value_name = "FILE", env = "SLOTBRIDGE_PARTNER_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

impl Link {
    pub fn bridge(&self) -> Result<Bridge, PartnerError> {
        Bridge::new(&Access::read(&self.url, &self.key_file, self.ca_file.as_ref())?)
    }
}

#[derive(Debug, Clone, clap::Args)]
pub struct StoreDir {
    /// Folder of pulled feeds and open requests; made where it is missing.
    #[arg(long = "store", value_name = "DIR", env = "SLOTBRIDGE_PARTNER_STORE")]
    pub dir: PathBuf,
}

impl StoreDir {
    pub fn open(&self, base: &str) -> Result<Store, PartnerError> {
        Store::open(&self.dir, base.trim_end_matches('/'))
    }
}

/// Who the user is, and who says that they consented.
#[derive(Debug, Clone, clap::Args)]
pub struct Person {
    /// The partner's id.
    #[arg(long, value_name = "ID")]
    pub partner: String,
    /// File with the user's CI; mode 0600.
    #[arg(long, value_name = "FILE")]
    pub ci_file: PathBuf,
    #[command(flatten)]
    pub receipt: Receipt,
}

#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false, id = "receipt_source")]
pub struct ReceiptFrom {
    /// A receipt that an issuer signed, for one call.
    #[arg(long, value_name = "FILE")]
    pub receipt_file: Option<PathBuf>,
    /// Test environments: the private key of the consent page.
    #[arg(long, value_name = "FILE")]
    pub issuer_key_file: Option<PathBuf>,
    /// The partner's own private key for receipts, where its entry allows it.
    #[arg(long, value_name = "FILE", requires = "consent_text")]
    pub sign_key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Receipt {
    #[command(flatten)]
    pub from: ReceiptFrom,
    /// Id of the consent page in the bridge's policy.
    #[arg(long, value_name = "ID", default_value = "demo-consent")]
    pub issuer: String,
    /// The text that the user agreed to, as shown; with --sign-key-file.
    #[arg(long, value_name = "FILE")]
    pub consent_text: Option<PathBuf>,
}

impl Receipt {
    pub fn issuer(&self) -> Result<Issuer, PartnerError> {
        let ReceiptFrom { receipt_file, issuer_key_file, sign_key_file } = &self.from;
        if let Some(file) = issuer_key_file {
            return Issuer::test(&self.issuer, &*secret_file::seed(file)?);
        }
        if let (Some(file), Some(text)) = (sign_key_file, &self.consent_text) {
            let shown = std::fs::read(text).map_err(|source| PartnerError::File { path: text.clone(), source })?;
            return Issuer::own(&*secret_file::seed(file)?, &shown);
        }
        let try_ = "give --receipt-file, --issuer-key-file or --sign-key-file";
        let none = || PartnerError::Nothing { what: "nobody signs the receipt".to_owned(), try_ };
        let file = receipt_file.as_ref().ok_or_else(none)?;
        Ok(Issuer::Given(secret_file::text(file)?.to_string()))
    }
}

/// Which slots a user likes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Choice {
    /// Only this slot.
    #[arg(long = "slot", value_name = "ID")]
    pub slot_id: Option<String>,
    /// Province or district, as the sites feed spells it.
    #[arg(long)]
    pub region: Option<String>,
    /// Nearest first, from this place.
    #[arg(long, value_name = "LAT,LON", value_parser = place, allow_hyphen_values = true)]
    pub near: Option<Place>,
    /// How far from there.
    #[arg(long, value_name = "KM", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub within_km: u8,
    /// Not before this instant (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub from: Option<Timestamp>,
    /// Which vaccination series.
    #[arg(long)]
    pub series: Option<String>,
}

impl Choice {
    pub fn wanted(&self) -> Wanted {
        Wanted {
            series: self.series.clone(),
            slot_id: self.slot_id.clone(),
            region: self.region.clone(),
            near: self.near.map(|place| (place, u32::from(self.within_km) * 1_000)),
            from: self.from,
        }
    }
}

fn place(text: &str) -> Result<Place, String> {
    let (lat, lon) = text.split_once(',').ok_or("write LAT,LON")?;
    let degrees = |text: &str| text.trim().parse::<f64>().map_err(|_| "write degrees, such as 37.5665,126.9780");
    Place::from_degrees(degrees(lat)?, degrees(lon)?).ok_or_else(|| "outside the globe".to_owned())
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).map_err(|_| "write it as 2026-12-01T09:00:00+09:00".to_owned())
}
