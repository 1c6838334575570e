//! `GET /skills.md`: how an agent buys here, step by step, with commands that can be run as they are.

use super::super::markdown::{script, shell, text};
use super::super::{commands, words};
use crate::catalog::{Plan, Route};
use crate::config::Config;
use crate::types::{HttpUrl, Network, UsdcAmount};

/// The most that published x402 clients pay unless told otherwise.
const USUAL_LIMIT: UsdcAmount = UsdcAmount::from_units(1_000_000);

/// The guide of this deployment, as seen at `origin`.
pub fn skills(config: &Config, origin: &HttpUrl) -> String {
    let plan = commands::example_plan(config);
    let route = commands::example_route(config);
    let mut parts = vec![head(config, origin)];
    parts.push(prices(origin));
    if let Some(plan) = plan {
        parts.push(ask_for_plan(plan, config, origin));
    }
    if let Some(route) = route {
        parts.push(ask_for_call(route, config, origin));
    }
    if plan.is_some() || route.is_some() {
        parts.push(client(plan, route, config, origin));
    }
    if plan.is_some() {
        parts.push(agent(origin));
        parts.push(token(config));
    }
    parts.push(afterwards(config));
    format!("{}\n", parts.join("\n\n"))
}

fn head(config: &Config, origin: &HttpUrl) -> String {
    let seller = &config.seller;
    let name: String = origin
        .host()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    // A JSON text is also a YAML text.
    let about = script(&format!(
        "Buy from {}: {} Pay per use with USDC, without an account.",
        text(&seller.agent_name),
        text(&seller.agent_description)
    ));
    let network = config.network;
    let money = match network {
        Network::Base => "Real money.",
        Network::BaseSepolia => {
            "Test money: get some at https://faucet.circle.com (choose Base Sepolia)."
        }
    };
    format!(
        "---\nname: buy-from-{name}\ndescription: {about}\n---\n\n# Buying from {}\n\n{}\n\nYou need a wallet with USDC on {} ({}) and \
         no ether: you sign, and the seller's side pays the gas. {money} Each step below works as it stands.",
        text(&seller.agent_name),
        text(&seller.agent_description),
        words::chain(network),
        network.caip2(),
    )
}

fn prices(origin: &HttpUrl) -> String {
    format!(
        "## See what is sold\n\n```sh\ncurl -s {}\n```",
        shell(&origin.join("/discover"))
    )
}

fn ask_for_plan(plan: &Plan, config: &Config, origin: &HttpUrl) -> String {
    let mpp = match config.mpp.enabled {
        true => ", and `WWW-Authenticate` has the same offer for clients of MPP, such as `mppx`",
        false => "",
    };
    format!(
        "## Ask for the price of a plan\n\nThe plan `{}` is {}. The answer is 402: its body says the price and what to do next, its header \
         `PAYMENT-REQUIRED` (base64 of JSON) is what x402 clients sign{mpp}. Nothing is charged.\n\n```sh\n{}\n```",
        plan.id,
        words::terms(plan, config),
        commands::ask_for_plan(plan, origin),
    )
}

fn ask_for_call(route: &Route, config: &Config, origin: &HttpUrl) -> String {
    let charged = words::charged(route, config).unwrap_or_default();
    format!(
        "## Ask for the price of a call\n\n`{} {}` is {}. {charged} Fill in what is written in capitals. The answer without a payment is \
         402 with the price.\n\n```sh\n{}\n```",
        route.method,
        route.path,
        words::price(route),
        commands::ask_for_call(route, origin),
    )
}

/// A program for the published client, as a file that can be run.
fn client(plan: Option<&Plan>, route: Option<&Route>, config: &Config, origin: &HttpUrl) -> String {
    let dearest = [
        plan.map(|plan| plan.price),
        route.and_then(|route| route.price),
    ];
    let limit = dearest
        .into_iter()
        .flatten()
        .fold(USUAL_LIMIT, UsdcAmount::max);
    let order = match (plan, route) {
        (Some(plan), _) => format!(
            "const order = () =>\n  pay({}, {{\n    method: 'POST',\n    headers: {{ 'content-type': 'application/json' }},\n    body: \
             JSON.stringify({{ planId: {}, requestId }}),\n  }});",
            script(&origin.join(words::ACCESS_PATH)),
            script(plan.id.as_str()),
        ),
        (None, Some(route)) => call(route, origin),
        (None, None) => String::new(),
    };
    let another = match (plan, route) {
        (Some(_), Some(route)) => format!(
            "\n\nA call is paid in the same way; in the place of `order`:\n\n```js\n{}\n```",
            call(route, origin)
        ),
        _ => String::new(),
    };
    format!(
        "## Buy with JavaScript\n\nIn an empty folder, with Node 18 or newer, save this as `buy.mjs`:\n\n```js\n{IMPORTS}\n\nconst pay = \
         wrapFetchWithPaymentFromConfig(fetch, {{\n  schemes: [{{ network: '{}', client: new \
         ExactEvmScheme(privateKeyToAccount(process.env.AGENT_PRIVATE_KEY)) }}],\n  spendControls: {{ maxAmountPerPayment: '{limit}' }}, \
         // never pays more than this\n}});\n\n// Names the purchase: keep it, and keep it secret.\nconst requestId = \
         randomUUID();\n{order}\n\n{REPEAT}\n```\n\n```sh\nnpm install @x402/fetch @x402/evm viem\nAGENT_PRIVATE_KEY=0x… node \
         buy.mjs\n```{another}",
        config.network.caip2(),
    )
}

const IMPORTS: &str = "import { randomUUID } from 'node:crypto';
import { ExactEvmScheme } from '@x402/evm';
import { wrapFetchWithPaymentFromConfig } from '@x402/fetch';
import { privateKeyToAccount } from 'viem/accounts';";

const REPEAT: &str = "let answer = await order();
for (let tries = 1; answer.status >= 500 && tries < 20; tries += 1) {
  // Not known yet. The same requestId is charged once, however often it is asked.
  await new Promise((resolve) => setTimeout(resolve, 1000 * (answer.headers.get('retry-after') ?? 2)));
  answer = await order();
}
console.log(await answer.text());
if (!answer.ok) process.exitCode = 1;";

/// The function `order` of that program, for a call of a route.
fn call(route: &Route, origin: &HttpUrl) -> String {
    let url = script(&origin.join(&route.example_path()));
    let body = route.example_body();
    let kind = match body {
        Some(_) => "'content-type': 'application/json', ",
        None => "",
    };
    let body = body.map_or_else(String::new, |body| {
        format!("\n    body: JSON.stringify({body}),")
    });
    format!(
        "const order = () =>\n  pay({url}, {{\n    method: '{}',\n    headers: {{ {kind}'idempotency-key': requestId }},{body}\n  }});",
        route.method
    )
}

fn agent(origin: &HttpUrl) -> String {
    format!(
        "## Or with the example agent\n\nIn a clone of key0, the software of this seller, this prints the token alone:\n\n```sh\nAGENT_PRIVATE_KEY=0x… \
         npm run --silent agent -- --url {} --token\n```",
        shell(origin.as_str())
    )
}

fn token(config: &Config) -> String {
    let place = match &config.backend.resource_endpoint {
        Some(template) => template.as_str(),
        None => "RESOURCE_ENDPOINT",
    };
    format!(
        "## Use the token\n\nThe answer to a paid order is an `AccessGrant`. Its `accessToken` opens what was bought until `expiresAt`; \
         `resourceEndpoint` says where, if the seller has set it.\n\n```sh\ncurl -H \"authorization: Bearer $TOKEN\" {}\n```",
        shell(&place.replace("{resourceId}", "default"))
    )
}

const AFTERWARDS: &str = "## What answers mean

| status | what to do |
|---|---|
| 200 | Yours. The same request sent again gets the same answer, and is not charged again. |
| 402 | Nothing was charged. Pay the offer that comes with it. |
| 202, 5xx, 409 `CALL_IN_PROGRESS`, no answer | Not over yet, or not known. Wait for `Retry-After`, then send the same request again, with the same requestId or Idempotency-Key: it is charged once. |
| 429 | Wait for `Retry-After`. |
| other | It will not work like this. `message` says why. |

A call that is forwarded has the status of the API behind this seller. It was charged if its header `PAYMENT-RESPONSE` (base64 of JSON) has \
`\"success\": true`";

fn afterwards(config: &Config) -> String {
    let receipt = match config.mpp.enabled {
        true => " or, where it was paid by MPP, if it has the header `Payment-Receipt`",
        false => "",
    };
    format!("{AFTERWARDS}{receipt}. If such an answer is cut before its end, the money goes back.")
}
