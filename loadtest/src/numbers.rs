//! Numbers as text: counts, rates, shares, times and sizes.

/// A whole number with its digits in groups of three.
pub fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate per second; below 100 with one decimal.
pub fn rate(per_second: f64) -> String {
    match per_second < 100.0 {
        true => format!("{per_second:.1}/s"),
        false => format!("{}/s", grouped(per_second.round() as u64)),
    }
}

/// A share of a limit, with two decimals; small ones with three.
pub fn share(part: f64) -> String {
    match part < 0.095 {
        true => format!("{part:.3}"),
        false => format!("{part:.2}"),
    }
}

/// A time in microseconds, with three digits, in a suitable unit.
pub fn time_us(us: f64) -> String {
    let (number, unit) = match us {
        us if us < 1_000.0 => (us, "µs"),
        us if us < 1_000_000.0 => (us / 1_000.0, "ms"),
        us => (us / 1_000_000.0, "s"),
    };
    format!("{} {unit}", three_digits(number))
}

/// A number of bytes, in a suitable binary unit.
pub fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut number, mut unit) = (bytes, 0);
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    match number.fract() == 0.0 {
        true => format!("{number:.0} {}", UNITS[unit]),
        false => format!("{} {}", three_digits(number), UNITS[unit]),
    }
}

fn three_digits(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        number if number < 10.0 => format!("{number:.2}"),
        number if number < 100.0 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_groups_of_three() {
        for (number, text) in [(0_u64, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn times_have_three_digits_and_a_suitable_unit() {
        let times =
            [(0.0, "0 µs"), (8.25, "8.25 µs"), (83.0, "83.0 µs"), (373.4, "373 µs"), (4_440.0, "4.44 ms"), (2.5e6, "2.50 s")];
        for (us, text) in times {
            assert_eq!(time_us(us), text);
        }
    }

    #[test]
    fn rates_shares_and_bytes_are_readable() {
        assert_eq!((share(0.0083), share(0.154), share(1.37)), ("0.008".to_owned(), "0.15".to_owned(), "1.37".to_owned()));
        assert_eq!((rate(2.25), rate(925_000.4)), ("2.2/s".to_owned(), "925,000/s".to_owned()));
        assert_eq!((bytes(4096.0), bytes(24.1 * 1048576.0)), ("4 KiB".to_owned(), "24.1 MiB".to_owned()));
    }
}
