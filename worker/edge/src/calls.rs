//! Calls to the seller's API: which route is called, and what then happens to the call.

use http::header::{HeaderMap, UPGRADE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use js_sys::Uint8Array;
use key0_core::backend::origin::{
    Account, passed_back, passed_on, passed_on_for_payment, said_by_us,
};
use key0_core::catalog::{Found, Route};
use key0_core::checkout::{Checkout, Stop};
use key0_core::config::Config;
use key0_core::doors::call::Call;
use key0_core::doors::gateway::{self, Arrival, Counted, Passage, access, enter};
use key0_core::error::Error;
use key0_core::goods::OriginFault;
use key0_core::meter::Fate;
use key0_core::purchase::API_FAILS;
use key0_core::response::{self, Response};
use key0_core::token::Access;
use key0_core::types::HttpUrl;
use web_sys::ReadableStream;
use worker::{Context, Env};

use crate::inbound::{Body, Inbound, Outbound};
use crate::objects::{Carried, CarriedHead, Objects};
use crate::origin::{Opened, Outgoing};
use crate::{counted, limit, outbound, platform, rsa};

/// Answers a request to a path that is not one of the worker's own.
pub(crate) async fn answer(
    inbound: Inbound,
    (env, context): (&Env, &Context),
    config: &Config,
    origin: HttpUrl,
) -> Result<Outbound, Error> {
    let Some(base) = &config.gateway.base else {
        return Ok(response::not_found().into());
    };
    let found = config.catalog.find(&inbound.method, &inbound.path);
    let (route, path) = match found {
        Found::Route(route, path) => (route, path),
        Found::Nothing => return Ok(stray(inbound, env, config, origin).await),
        Found::BadPath(why) => {
            let message = format!("The path {why}. Nothing was charged for this request.");
            return Err(Error::invalid_request(message));
        }
        Found::WrongMethod(methods) => {
            return Ok(match inbound.method == Method::OPTIONS {
                true => response::preflight(&methods, &inbound.headers).into(),
                false => response::other_methods(&methods).into(),
            });
        }
    };
    if inbound.headers.contains_key(UPGRADE) {
        return Ok(response::no_upgrade().into());
    }
    let caller = limit::Caller::of(&inbound.headers);
    if let Some(refusal) = limit::refusal(caller.as_ref()) {
        return Ok(refusal.into());
    }
    let (method, url) = (inbound.method.clone(), inbound.url.clone());
    let query = inbound.query().to_owned();
    let (headers, body) = inbound.read(route.max_body).await?;
    let call = Call::new(route, path, &query, &headers, &body).map_err(|fault| fault.error())?;
    let random = platform::random().map_err(|_| Error::internal())?;
    let target = base.join(&match call.query.as_str() {
        "" => call.path.clone(),
        query => format!("{}?{query}", call.path),
    });
    let now = platform::now().to_seconds();
    let access = access(config, now, &rsa::WebCrypto, &headers).await;
    let is_ours = access.is_some();
    let is_counted = access.as_ref().is_some_and(|access| access.grant.is_some());
    let _stays = is_counted.then(|| counted::Stay::new(context));
    let carried = Carried {
        head: CarriedHead {
            digest: call.digest,
            most: None,
            outgoing: Outgoing::with_headers(
                &call.method,
                target.clone(),
                &passed_on_for_payment(&headers, route, is_ours),
            ),
        },
        deadline: Objects::call_deadline(config.gateway.timeout_millis),
        body: Uint8Array::from(body.as_slice()),
    };
    let chain = outbound::chain(config);
    let objects = Objects::bringing(env, carried);
    let checkout = Checkout {
        config,
        deployment: (&objects, &chain),
        rsa: &rsa::WebCrypto,
        origin,
        now,
        random,
    };
    let arrival = Arrival {
        call: &call,
        method: &method,
        url: &url,
        headers: &headers,
        body: &body,
    };
    match enter(&checkout, &objects, access, &arrival).await {
        Passage::Answer(response) => {
            limit::count(env, caller, &response).await;
            let streamed = objects.streamed().map(Body::Stream);
            let body = streamed.or_else(|| objects.answer().map(Body::Whole));
            let body = body.filter(|_| response::is_of_api(&response));
            Ok(Outbound { response, body })
        }
        Passage::Forward {
            access,
            counted,
            adds,
        } => {
            let forwarding = Forwarding {
                env,
                context,
                config,
                origin: &checkout.origin,
                base,
                route,
                method: &method,
                url: target,
                headers: &headers,
                body: (!body.is_empty()).then(|| Uint8Array::from(body.as_slice())),
                access: access.as_ref(),
                is_ours,
            };
            Ok(forwarding.send(counted, adds).await)
        }
    }
}

/// Answers a request to a path that no route has. A payment that comes with it may have bought a call of a route that had
/// this path.
async fn stray(inbound: Inbound, env: &Env, config: &Config, origin: HttpUrl) -> Outbound {
    let nothing = || response::not_found().into();
    if !gateway::pays(&inbound.headers) {
        return nothing();
    }
    let caller = limit::Caller::of(&inbound.headers);
    if let Some(refusal) = limit::refusal(caller.as_ref()) {
        return refusal.into();
    }
    let (method, url) = (inbound.method.clone(), inbound.url.clone());
    let (headers, body) = match inbound.read(response::MAX_BODY_BYTES).await {
        Ok(read) => read,
        Err(error) => return response::error(&error).into(),
    };
    let Ok(random) = platform::random() else {
        return response::error(&Error::internal()).into();
    };
    let chain = outbound::chain(config);
    let objects = Objects::new(env);
    let checkout = Checkout {
        config,
        deployment: (&objects, &chain),
        rsa: &rsa::WebCrypto,
        origin,
        now: platform::now().to_seconds(),
        random,
    };
    let Some(response) = gateway::stray(&checkout, &method, &url, &headers, &body).await else {
        return nothing();
    };
    limit::count(env, caller, &response).await;
    let body = objects.answer().filter(|_| response::is_of_api(&response));
    Outbound {
        response,
        body: body.map(Body::Whole),
    }
}

/// A call that needs no payment, with all that is needed to forward it.
struct Forwarding<'a> {
    env: &'a Env,
    context: &'a Context,
    config: &'a Config,
    origin: &'a HttpUrl,
    base: &'a HttpUrl,
    route: &'a Route,
    method: &'a Method,
    url: String,
    headers: &'a HeaderMap,
    body: Option<Uint8Array>,
    access: Option<&'a Access>,
    /// Whether the `Authorization` header has a token of ours, be it of a plan that opens this route or not.
    is_ours: bool,
}

impl Forwarding<'_> {
    /// Makes the call. `counted`: what the meter is told of it, if it is counted.
    async fn send(
        self,
        counted: Option<Counted>,
        adds: Vec<(HeaderName, &'static str)>,
    ) -> Outbound {
        let answered = self.call().await;
        if let Ok(opened) = &answered
            && opened.status < API_FAILS
        {
            let routes = &outbound::shared().routes;
            routes.answered(&self.route.id, platform::now());
        }
        let opened = match answered {
            Ok(opened) => opened,
            Err(fault) => {
                if let Some(counted) = counted.filter(Counted::is_followed) {
                    let account = counted::Account::new(self.env.clone(), counted, Fate::GivenBack);
                    account.end(self.context).await;
                }
                return self.failed(fault);
            }
        };
        let (headers, body) = match counted {
            None => {
                let headers = passed_back(&opened.headers, self.access.is_none());
                (headers, opened.body)
            }
            Some(counted) => {
                let (fate, headers) = counted::head(&counted, &opened);
                match self.follow(counted, fate, &opened).await {
                    Ok(body) => (headers, body),
                    Err(fault) => return self.failed(fault),
                }
            }
        };
        let mut response = response::of_api(Response::new(Vec::new()));
        *response.status_mut() =
            StatusCode::from_u16(opened.status).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = headers;
        for (name, value) in adds {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        Outbound {
            response,
            body: body.map(Body::Stream),
        }
    }

    async fn call(&self) -> Result<Opened, OriginFault> {
        let account = match self.access {
            None => Account::Free,
            Some(access) => Account::Access {
                purchase: &access.purchase,
                plan: access.plan.as_str(),
                payer: access.payer.as_deref(),
            },
        };
        let headers = passed_on(self.headers, self.route, self.is_ours);
        let settings = &self.config.gateway;
        let said = said_by_us(self.route.id.as_str(), &account, settings.secret.as_ref());
        let outgoing = Outgoing::with_headers(self.method, self.url.clone(), &headers).saying(said);
        outgoing
            .opened(self.body.as_ref(), self.base, settings.timeout_millis)
            .await
    }

    /// The body of a counted answer, with its meter told.
    async fn follow(
        &self,
        counted: Counted,
        fate: Fate,
        opened: &Opened,
    ) -> Result<Option<ReadableStream>, OriginFault> {
        if !counted.is_followed() {
            return Ok(opened.body.clone());
        }
        let account = counted::Account::new(self.env.clone(), counted, fate);
        let is_over = fate == Fate::GivenBack || self.method == Method::HEAD;
        let begun = match is_over {
            true => None,
            false => opened.begun(),
        };
        match begun {
            Some(begun) => {
                let body = account.pass_on(begun, self.context);
                body.map(Some).map_err(|_| OriginFault::Cut)
            }
            None => {
                account.end(self.context).await;
                Ok(opened.body.clone())
            }
        }
    }

    fn failed(&self, fault: OriginFault) -> Outbound {
        let why = Stop::Origin {
            fault,
            refund: None,
        };
        let network = self.config.network;
        response::error(&why.error(self.origin, network)).into()
    }
}
