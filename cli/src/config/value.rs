//! Values of settings as TOML has them.

use pushforward::settings::Value;

/// As TOML; None for what is left to the program.
pub fn to_toml(value: &Value) -> Option<toml::Value> {
    let whole = |x: u64| toml::Value::Integer(x.min(i64::MAX as u64) as i64);
    Some(match value {
        Value::Auto => return None,
        Value::Flag(x) => toml::Value::Boolean(*x),
        Value::Whole(x) => whole(*x),
        Value::Number(x) => toml::Value::Float(*x),
        Value::Text(x) => toml::Value::String(x.clone()),
        Value::Wholes(x) => toml::Value::Array(x.iter().map(|&x| whole(x)).collect()),
        Value::Numbers(x) => toml::Value::Array(x.iter().map(|&x| toml::Value::Float(x)).collect()),
    })
}

/// From TOML; None for what no setting can be. A negative whole number becomes a number, which the setting refuses with its range.
pub fn to_value(value: &toml::Value) -> Option<Value> {
    Some(match value {
        toml::Value::Boolean(x) => Value::Flag(*x),
        toml::Value::Integer(x) => u64::try_from(*x).map_or(Value::Number(*x as f64), Value::Whole),
        toml::Value::Float(x) => Value::Number(*x),
        toml::Value::String(x) if x == "auto" => Value::Auto,
        toml::Value::String(x) => Value::Text(x.clone()),
        toml::Value::Array(items) => {
            let whole = |v: &toml::Value| v.as_integer().and_then(|x| u64::try_from(x).ok());
            let number = |v: &toml::Value| v.as_float().or(v.as_integer().map(|x| x as f64));
            match items.iter().map(whole).collect() {
                Some(all) => Value::Wholes(all),
                None => Value::Numbers(items.iter().map(number).collect::<Option<_>>()?),
            }
        }
        _ => return None,
    })
}
