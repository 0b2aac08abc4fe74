//! What this process takes of the machine, where the system tells it as Linux does.

use std::fs;

/// Bytes of memory that are resident now.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Seconds that all threads have run on a processor, but for those of one name.
pub(super) fn processor_seconds(but_for: &str) -> Option<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        // One may have ended since the list was read.
        let Ok(name) = fs::read_to_string(thread.path().join("comm")) else { continue };
        if name.trim_end() != but_for {
            let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let ran: u64 = times.split(' ').next()?.parse().ok()?;
            nanoseconds += ran;
        }
    }
    Some(nanoseconds as f64 / 1e9)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn spin(time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn memory_is_that_of_a_process() {
        let bytes = resident_bytes().unwrap();
        assert!((100 << 10..64 << 30).contains(&bytes), "{bytes}");
    }

    #[test]
    fn the_time_of_a_thread_that_is_left_out_does_not_count() {
        let quiet = "qis-quiet";
        let Some(before) = processor_seconds(quiet) else { return };
        let spinner = std::thread::Builder::new().name(quiet.to_owned());
        let (tell, wait) = std::sync::mpsc::channel::<()>();
        let (done, spun) = std::sync::mpsc::channel();
        let spinner = spinner.spawn(move || {
            spin(Duration::from_millis(300));
            done.send(()).unwrap();
            // Until it was counted.
            let _ = wait.recv();
        });
        spun.recv().unwrap();
        let all = processor_seconds("nobody").unwrap();
        let others = processor_seconds(quiet).unwrap();
        drop(tell);
        spinner.unwrap().join().unwrap();
        assert!(all - others > 0.01, "{all} s with it, {others} s without, {before} s before");
    }
}
