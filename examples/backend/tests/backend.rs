//! The example as its users see it: a process, its output and its answers over HTTP.

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::process::{Child, Command, Stdio};

    use jwt_compact::alg::{Hs256, Hs256Key};
    use jwt_compact::{AlgorithmExt, Claims, Header};
    use serde_json::{Value, json};

    const SECRET: &str = "a secret of at least 32 bytes, for tests";
    const OLD_SECRET: &str = "the secret before it has 32 bytes as well";

    struct Backend {
        process: Child,
        address: String,
    }

    impl Backend {
        fn start() -> Self {
            Self::start_on("mainnet")
        }

        fn start_on(network: &str) -> Self {
            let mut process = command()
                .env("KEY0_NETWORK", network)
                .env("KEY0_ACCESS_TOKEN_SECRET", SECRET)
                .env("KEY0_ACCESS_TOKEN_SECRETS_OLD", format!(" {OLD_SECRET} ,"))
                .env("PORT", "0")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(process.stdout.take().unwrap())
                .read_line(&mut line)
                .unwrap();
            let address = line
                .trim()
                .strip_prefix("backend listening on http://")
                .unwrap();
            Self {
                process,
                address: address.to_owned(),
            }
        }

        /// The status line and headers of the answer to a notice.
        fn tell(&self, notice: &str, key: &str) -> String {
            let mut stream = TcpStream::connect(&self.address).unwrap();
            let head =
                "POST /internal/payment-received HTTP/1.1\r\nhost: test\r\nconnection: close";
            let length = notice.len();
            let request = format!(
                "{head}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{key}\r\n{notice}"
            );
            stream.write_all(request.as_bytes()).unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).unwrap();
            response
        }

        /// Status line and headers, and the body.
        fn get(&self, path: &str, authorization: Option<&str>) -> (String, Value) {
            let mut stream = TcpStream::connect(&self.address).unwrap();
            let header = authorization.map_or(String::new(), |v| format!("authorization: {v}\r\n"));
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: test\r\n{header}connection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).unwrap();
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            (
                head.to_ascii_lowercase(),
                serde_json::from_str(body).unwrap(),
            )
        }
    }

    impl Drop for Backend {
        fn drop(&mut self) {
            // Only matters when a test failed before the process ended by itself.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_key0-example-backend"));
        command.env_clear().stdin(Stdio::null());
        command
    }

    fn bearer(resource: &str, exp: u64, secret: &str) -> String {
        bearer_on(8453, resource, exp, secret)
    }

    fn bearer_on(chain_id: u64, resource: &str, exp: u64, secret: &str) -> String {
        let claims = Claims::new(json!({
            "sub": "r-1", "jti": "c-1", "resourceId": resource, "planId": "basic",
            "txHash": "0xabc", "iat": 1_800_000_000, "exp": exp, "payer": "0x7099", "chainId": chain_id,
        }));
        let token = Hs256
            .token(&Header::empty(), &claims, &Hs256Key::new(secret))
            .unwrap();
        format!("Bearer {token}")
    }

    #[test]
    fn the_gateway_tells_of_a_purchase() {
        let backend = Backend::start();
        let notice = r#"{"type":"payment.delivered","requestId":"41fca0bb"}"#;
        let key = "idempotency-key: challenge:1\r\n";
        assert!(backend.tell(notice, key).starts_with("HTTP/1.1 204"));
        assert!(backend.tell(notice, "").starts_with("HTTP/1.1 400"));
        assert!(backend.tell("{}", key).starts_with("HTTP/1.1 400"));
    }

    #[test]
    fn a_buyer_gets_in_where_the_token_opens_and_nobody_else_does() {
        let backend = Backend::start();
        let (head, body) = backend.get("/health", None);
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body["status"], "ok");

        for secret in [SECRET, OLD_SECRET] {
            let (head, body) = backend.get(
                "/api/default",
                Some(&bearer("default", 9_000_000_000, secret)),
            );
            assert!(head.starts_with("http/1.1 200"), "{head}");
            assert_eq!(body["token"]["planId"], "basic");
            assert_eq!(body["token"]["payer"], "0x7099");
            assert!(
                body["message"]
                    .as_str()
                    .unwrap()
                    .starts_with("Welcome, 0x7099")
            );
        }

        let (head, body) = backend.get(
            "/api/weather",
            Some(&bearer("default", 9_000_000_000, SECRET)),
        );
        assert!(head.starts_with("http/1.1 403"), "{head}");
        assert!(head.contains("insufficient_scope"));
        assert_eq!(
            body["message"],
            "The token is good, but for another resource"
        );

        let (head, body) = backend.get("/api/default", None);
        assert!(head.starts_with("http/1.1 401"), "{head}");
        assert!(head.contains("\r\nwww-authenticate: bearer\r\n"), "{head}");
        assert_eq!(body["code"], "INVALID_REQUEST");

        let (head, body) = backend.get("/api/default", Some(&bearer("default", 1000, SECRET)));
        assert!(head.starts_with("http/1.1 401"), "{head}");
        assert_eq!(body["code"], "CHALLENGE_EXPIRED");
    }

    #[test]
    fn test_money_buys_nothing_unless_the_backend_is_on_testnet() {
        let token = bearer_on(84532, "default", 9_000_000_000, SECRET);
        let (head, body) = Backend::start().get("/api/default", Some(&token));
        assert!(head.starts_with("http/1.1 401"), "{head}");
        let message = body["message"].as_str().unwrap();
        assert!(message.contains("test money"), "{message}");
        let (head, _) = Backend::start_on("testnet").get("/api/default", Some(&token));
        assert!(head.starts_with("http/1.1 200"), "{head}");
    }

    #[test]
    fn it_ends_well_when_it_is_told_to() {
        for signal in ["-TERM", "-INT"] {
            let mut backend = Backend::start();
            let pid = backend.process.id().to_string();
            assert!(
                Command::new("kill")
                    .args([signal, &pid])
                    .status()
                    .unwrap()
                    .success()
            );
            assert!(backend.process.wait().unwrap().success(), "{signal}");
        }
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused_in_one_sentence() {
        let refusal = |secret: Option<&str>, old: &str| {
            let mut command = command();
            command.env("KEY0_ACCESS_TOKEN_SECRETS_OLD", old);
            command.envs(secret.map(|secret| ("KEY0_ACCESS_TOKEN_SECRET", secret)));
            let output = command.output().unwrap();
            assert!(!output.status.success() && output.stdout.is_empty());
            String::from_utf8(output.stderr).unwrap()
        };
        assert_eq!(
            refusal(None, ""),
            "backend: KEY0_ACCESS_TOKEN_SECRET is not set; give it the gateway's secret\n"
        );
        assert_eq!(
            refusal(Some("hunter2"), ""),
            "backend: KEY0_ACCESS_TOKEN_SECRET: the access token secret has 7 bytes, it needs at least 32\n"
        );
        assert_eq!(
            refusal(Some(SECRET), "hunter2"),
            "backend: KEY0_ACCESS_TOKEN_SECRETS_OLD: the access token secret has 7 bytes, it needs at least 32\n"
        );
    }

    #[test]
    fn help_is_given() {
        let output = command().arg("--help").output().unwrap();
        assert!(output.status.success());
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("KEY0_ACCESS_TOKEN_SECRET ")
        );
    }
}
