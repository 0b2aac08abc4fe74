//! Seconds as a date.

const DAY: u64 = 86_400;
/// 10000-01-01: dates are not written with five digits of a year.
const END: u64 = 253_402_300_800;

/// Seconds since 1970-01-01T00:00:00Z as such a date; `None` after the year 9999.
pub(crate) fn date(seconds: u64) -> Option<String> {
    if seconds >= END {
        return None;
    }
    let (days, time) = (seconds / DAY, seconds % DAY);
    // Years begin in March here, so that the leap day is the last one; eras are of 400 years (Howard Hinnant,
    // "chrono-Compatible Low-Level Date Algorithms").
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = 400 * era + year + carry;
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_577_836_799, "2019-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (END - 1, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(date(seconds).as_deref(), Some(expected));
        }
        assert_eq!(date(END), None);
        assert_eq!(date(u64::MAX), None);
    }
}
