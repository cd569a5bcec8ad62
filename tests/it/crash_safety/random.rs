//! Reproducible random numbers. A failing test names its seed.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn of(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// The seed of this run (`HARPROXY_SEED`, else from the time) and the number of attempts (`HARPROXY_KILLS`).
pub fn seed_and_kills(tries: u64) -> (u64, u64) {
    let said = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    (said("HARPROXY_SEED").unwrap_or_else(now), said("HARPROXY_KILLS").unwrap_or(tries))
}

/// Spins for up to `turns` iterations, to vary the timing.
pub fn spin(turns: u64) {
    for turn in 0..turns {
        std::hint::black_box(turn);
    }
}

/// Prints what was tried or skipped. Shown with `--nocapture`.
pub fn print_note(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
}
