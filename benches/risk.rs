//! The gate over 15 M rows of persons against a plain single pass over the same array.
//!
//! Both go over one array of 15 M rows of 12 bytes. The plain pass adds up every row's numbers and does nothing else: what
//! reading the array costs. The counting pass is the one that every build runs; the gate is what it decides afterwards.
//! Rounds alternate and medians are compared. `cargo bench --bench risk`; `BENCH_ROWS` is the number of rows, and an
//! unoptimised run takes fewer by itself.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slotbridge::mapping::feed_mapping::SmallCell;
use slotbridge::privacy::risk::{Cube, LabelAxis, Row, Rule, Shape};

const ROUNDS: usize = 5;
const YEARS: u32 = 110;
const SEXES: u32 = 2;
const REGIONS: u32 = 17;
/// Cohorts; two stand behind each label.
const REASONS: u32 = 12;

fn rows() -> usize {
    let fewer = if cfg!(debug_assertions) { 200_000 } else { 15_000_000 };
    std::env::var("BENCH_ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(fewer)
}

/// Every number of a row is a function of its place, so that runs are the same.
fn made(shape: &Shape, at: usize) -> Row {
    let mut mixed = (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^= mixed >> 29;
    let mut below = |bound: u32| {
        mixed = mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9).rotate_left(23);
        ((mixed >> 33) % u64::from(bound)) as u32
    };
    let reason = below(REASONS);
    // Ages are not spread evenly: the ends are thin.
    let year = (below(YEARS) + below(YEARS)) / 2;
    let quasi = [year, below(SEXES), below(REGIONS)];
    shape.row(&[reason / 2], &quasi, reason).expect("codes are below their bounds")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let labels = LabelAxis::plain("window", (0..REASONS / 2).map(|at| format!("window {at}")).collect());
    let shape = Shape::new(vec![labels], vec![YEARS, SEXES, REGIONS], REASONS).expect("a shape within bounds");
    let shape = Arc::new(shape);
    let rows: Vec<Row> = (0..rows()).map(|at| made(&shape, at)).collect();
    let rule =
        Rule { k_min: 20, small_cell: SmallCell::Suppress, homogeneity_percent_max: 80, suppressed_percent_max: 100 };
    let (mut plain, mut counted, mut decided) = (Vec::new(), Vec::new(), Vec::new());
    let mut report = None;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let sum = rows.iter().fold(0u64, |sum, row| sum + u64::from(row.label ^ row.quasi ^ row.reason));
        black_box(sum);
        plain.push(began.elapsed());
        let began = Instant::now();
        let mut cube = Cube::new(shape.clone());
        cube.count(rows.iter().copied()).expect("rows within the shape");
        counted.push(began.elapsed());
        let began = Instant::now();
        let gate = cube.gate(&rule);
        report = Some(black_box(gate.report("bench.tokens", 1, None)));
        decided.push(began.elapsed());
    }
    let (plain, counted, decided) = (median(plain), median(counted), median(decided));
    let report = report.expect("there were rounds");
    let cells = u64::from(shape.label_cells()) * u64::from(shape.quasi_cells());
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("rows                 {:>12}", rows.len());
    println!("cells                {cells:>12}");
    println!("plain pass           {:>12.1} ms", ms(plain));
    println!("counting pass        {:>12.1} ms", ms(counted));
    println!("gate and report      {:>12.1} ms", ms(decided));
    println!(
        "ratio                {:>12.2} (counting, gate and report ÷ plain pass)",
        ms(counted + decided) / ms(plain)
    );
    println!("ns a row             {:>12.2}", (counted + decided).as_secs_f64() * 1e9 / rows.len().max(1) as f64);
    let smallest = report.k_smallest.unwrap_or(0);
    println!("k {smallest}, {} left out, {} sizes of groups", report.suppressed, report.histogram.len());
    assert_eq!(report.rows + report.suppressed, rows.len() as u64, "every row is counted once");
}
