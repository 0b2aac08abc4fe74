#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // A panic of the database is contained by the store, and no finding; one that is not ends the program all the same.
        std::panic::set_hook(Box::new(|_| {}));
    },
    |data: &[u8]| qis_fuzz::store::run(data)
);
