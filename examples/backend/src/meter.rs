//! Has calls counted by the gateway, through the HTTP client that this example has.

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::http::{Request, Response};
use key0_validator::CallMeter;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// A caller waits for this, now and then.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// The meter, if the environment names a gateway that counts.
pub(crate) fn from_env() -> Result<Option<CallMeter>, String> {
    let Ok(url) = env::var("KEY0_METER_URL") else {
        return Ok(None);
    };
    let secret = env::var("KEY0_METER_SECRET").unwrap_or_default();
    let open = env::var("KEY0_METER_OPEN_SECONDS").unwrap_or_else(|_| "0".to_owned());
    let open = open.parse().map(Duration::from_secs);
    let open = open.map_err(|_| "KEY0_METER_OPEN_SECONDS is not a number of seconds")?;
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER_WITHIN))
        .http_status_as_error(false)
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let send = move |request| {
        let agent = agent.clone();
        // ureq blocks.
        async move { spawn_blocking(move || call(&agent, request)).await? }
    };
    let meter = CallMeter::new(url, secret, send).map_err(|e| format!("KEY0_METER_URL: {e}"))?;
    Ok(Some(meter.open_for(open)))
}

fn call(
    agent: &ureq::Agent,
    request: Request<String>,
) -> Result<Response<String>, Box<dyn Error + Send + Sync>> {
    let (parts, mut body) = agent.run(request)?.into_parts();
    let body = body.read_to_string()?;
    Ok(Response::from_parts(parts, body))
}

/// Reports what was used of late, for as long as the service runs.
pub(crate) async fn keep_reporting(meter: CallMeter) {
    loop {
        sleep(REPORT_EVERY).await;
        meter.report().await;
    }
}
