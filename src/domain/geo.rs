//! Where a site stands.

use serde::{Deserialize, Serialize};

/// A place on the WGS 84 ellipsoid, in millionths of a degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    pub lat_e6: i32,
    pub lon_e6: i32,
}

impl Place {
    /// `None` outside ±90 and ±180 degrees.
    pub fn from_degrees(lat: f64, lon: f64) -> Option<Place> {
        ((-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon))
            .then(|| Place { lat_e6: (lat * 1e6).round() as i32, lon_e6: (lon * 1e6).round() as i32 })
    }

    /// Great-circle distance in metres (haversine on a sphere of 6,371 km; wrong by at most 0.5 %).
    pub fn distance_m(self, other: Place) -> u32 {
        let rad = |e6: i32| f64::from(e6) * 1e-6 * std::f64::consts::PI / 180.0;
        let (a, b) = (rad(self.lat_e6), rad(other.lat_e6));
        let (half_lat, half_lon) = ((b - a) / 2.0, (rad(other.lon_e6) - rad(self.lon_e6)) / 2.0);
        let h = half_lat.sin().powi(2) + a.cos() * b.cos() * half_lon.sin().powi(2);
        (2.0 * 6_371_000.0 * h.sqrt().min(1.0).asin()).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seoul_to_busan_is_325_km() {
        let seoul = Place::from_degrees(37.5665, 126.9780).unwrap();
        let busan = Place::from_degrees(35.1796, 129.0756).unwrap();
        assert!((324_000..327_000).contains(&seoul.distance_m(busan)), "{}", seoul.distance_m(busan));
        assert_eq!(seoul.distance_m(seoul), 0);
    }
}
