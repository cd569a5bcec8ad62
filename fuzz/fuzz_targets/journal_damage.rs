#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harproxy_fuzz::invariants::journal_damage::check(data));
