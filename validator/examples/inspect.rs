//! What is wrong with this token? Reads one token, or one Authorization header, a line and prints what a backend of this
//! configuration would make of it, as one JSON object a line.

use std::env;
use std::fs;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use key0_validator::{AccessToken, Config, ValidationError, Validator};

const HELP: &str = "\
Reads tokens or Authorization headers from standard input, one a line, and prints one JSON object for each:
{\"verdict\":\"valid\"|\"invalid\"|\"expired\",\"code\":…,\"message\":…,\"claims\":{…}}

  --secret-env NAME   HS256: the variable that holds the secret; older secrets in it follow after commas
  --public-key FILE   RS256: public keys in PEM
  --jwks FILE         RS256: a key document
  --now SECONDS       Unix time to judge dates by (this machine's clock)
  --issuer TEXT       expected iss
  --chain ID          expected chainId (8453, Base)
  --resource TEXT     expected resourceId
  --plan TEXT         expected planId
  --leeway SECONDS    forgiven difference of clocks, at most 120 (0)
";

/// What the configuration is to expect, its keys apart.
type Expectation = Box<dyn FnOnce(Config) -> Result<Config, String>>;
/// What is expected of a token.
type Door = Box<dyn FnOnce(Validator) -> Validator>;

fn main() -> ExitCode {
    match run(env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("inspect: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let mut keys = None;
    let mut now = None;
    let mut expect: Vec<Expectation> = Vec::new();
    let mut doors: Vec<Door> = Vec::new();
    while let Some(flag) = args.next() {
        if matches!(flag.as_str(), "-h" | "--help") {
            return write!(io::stdout(), "{HELP}").map_err(|e| e.to_string());
        }
        let value = args
            .next()
            .ok_or(format!("{flag} wants a value; see --help"))?;
        match flag.as_str() {
            "--secret-env" | "--public-key" | "--jwks" if keys.is_some() => {
                return Err("give one of --secret-env, --public-key and --jwks".to_owned());
            }
            "--secret-env" => keys = Some(secrets(&value)?),
            "--public-key" => keys = Some(Config::rs256(read(&value)?).map_err(|e| e.to_string())?),
            "--jwks" => keys = Some(Config::jwks(read(&value)?).map_err(|e| e.to_string())?),
            "--now" => now = Some(number(&flag, &value)?),
            "--issuer" => expect.push(Box::new(|config| Ok(config.issuer(value)))),
            "--chain" => {
                let chain = number(&flag, &value)?;
                expect.push(Box::new(move |config| Ok(config.chain(chain))));
            }
            "--resource" => doors.push(Box::new(|validator| validator.resource(value))),
            "--plan" => doors.push(Box::new(|validator| validator.plans([value]))),
            "--leeway" => {
                let leeway = Duration::from_secs(number(&flag, &value)?);
                expect.push(Box::new(move |c| {
                    c.leeway(leeway).map_err(|e| e.to_string())
                }));
            }
            _ => return Err(format!("unknown flag {flag}; see --help")),
        }
    }
    let config = keys.ok_or("give one of --secret-env, --public-key and --jwks")?;
    let config = expect
        .into_iter()
        .try_fold(config, |config, set| set(config))?;
    let validator = doors
        .into_iter()
        .fold(Validator::new(config), |validator, door| door(validator));
    inspect(&validator, now).map_err(|e| e.to_string())
}

fn secrets(name: &str) -> Result<Config, String> {
    let value = env::var(name).map_err(|_| format!("the variable {name} is not set"))?;
    let mut secrets = value.split(',').map(str::trim);
    let config = Config::hs256(secrets.next().unwrap_or_default());
    secrets.try_fold(config.map_err(|e| e.to_string())?, |config, old| {
        config.fallback_secret(old).map_err(|e| e.to_string())
    })
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

fn number(flag: &str, value: &str) -> Result<u64, String> {
    value
        .parse()
        .map_err(|_| format!("{flag} wants a whole number, not {value:?}"))
}

fn inspect(validator: &Validator, now: Option<u64>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        // What is not text becomes what is in no token.
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line));
        let header = header(&line);
        let outcome = match now {
            Some(now) => validator.validate_at(header.as_str(), now),
            None => validator.validate(header.as_str()),
        };
        writeln!(out, "{}", verdict(&outcome))?;
    }
    out.flush()
}

/// A line with a space has a scheme in it; any other is the token alone.
fn header(line: &str) -> String {
    let value = match line.split_once(':') {
        Some((name, value)) if name.eq_ignore_ascii_case("authorization") => value.trim_start(),
        _ => line,
    };
    if value.contains(' ') {
        value.to_owned()
    } else {
        format!("Bearer {value}")
    }
}

/// Nothing but the claims needs care here: the crate's texts have nothing to escape, and claims are JSON already.
fn verdict(outcome: &Result<AccessToken, ValidationError>) -> String {
    match outcome {
        Ok(token) => format!(
            r#"{{"verdict":"valid","code":null,"message":"The token is valid","claims":{}}}"#,
            // Line ends in JSON stand between its parts only.
            token.json().replace(['\n', '\r'], " "),
        ),
        Err(error) => {
            let verdict = match error {
                ValidationError::Expired { .. } => "expired",
                _ => "invalid",
            };
            let code = error.code();
            format!(r#"{{"verdict":"{verdict}","code":"{code}","message":"{error}"}}"#)
        }
    }
}
