//! Texts within texts: JSON in markup and scripts, base64, URLs, lists of names and values.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use super::*;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "application/javascript";
const FORM: &str = "application/x-www-form-urlencoded";

/// Redacts a text whole and as a stream, and checks that the results are equal.
fn text(content_type: &str, text: &str) -> String {
    let policy = Policy::default();
    let left = payload(&policy, content_type, text);
    let mut replacer = TestReplacer::default();
    let mut redactor = Redactor::new(&policy, &mut replacer);
    let (mut stream, mut out) = (StreamRedactor::new(content_type), Vec::new());
    text.as_bytes().chunks(1000).for_each(|piece| stream.push(&mut redactor, piece, &mut out));
    stream.finish(&mut redactor, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), left, "streamed");
    left
}

#[test]
fn json_in_html_is_redacted() {
    for (html, left) in [
        (
            r#"<script type="application/json" id="s">{"user":"ada","session":{"access_token":"a<b1c2d3e4"}}</script>"#,
            r#"<script type="application/json" id="s">{"user":"ada","session":{"access_token":"REDACTED-access_token-1"}}</script>"#,
        ),
        (
            "<script>window.__STATE__ = {\"a\":[1,{\"pin\":\"1\"}]};var x=\"y\"</script>",
            "<script>window.__STATE__ = {\"a\":[1,{\"pin\":\"REDACTED-pin-1\"}]};var x=\"y\"</script>",
        ),
        (
            r#"<script>self.f.push([1,"5:{\"password\":\"h\",\"n\":1}\n"])</script>"#,
            r#"<script>self.f.push([1,"5:{\"password\":\"REDACTED-password-1\",\"n\":1}\n"])</script>"#,
        ),
        (
            "<script>var s = JSON.parse('{\"otp\":[\"1\",\"2\"]}'), t = {a: 1, \"token\" : \"x1y2z3w4\"}</script>",
            "<script>var s = JSON.parse('{\"otp\":[\"REDACTED-otp-1\",\"REDACTED-otp-2\"]}'), t = {a: 1, \"token\" : \"REDACTED-token-1\"}</script>",
        ),
        (
            "<div data-page=\"{&quot;a&quot;:&quot;b&quot;,&quot;token&quot;:&quot;x1y2z3w4&amp;y&quot;}\" id=\"token\">",
            "<div data-page=\"{&quot;a&quot;:&quot;b&quot;,&quot;token&quot;:&quot;REDACTED-token-1&quot;}\" id=\"token\">",
        ),
        (
            "<div data-page='{&#34;u&#34;:&#34;https://h/?a=1&amp;sig=s1g2s3g4&amp;b=2&#34;}'>",
            "<div data-page='{&#34;u&#34;:&#34;https://h/?a=1&amp;sig=REDACTED-sig-1&amp;b=2&#34;}'>",
        ),
    ] {
        assert_eq!(text(HTML, html), left);
    }
}

#[test]
fn values_of_form_controls_and_meta_elements_are_redacted() {
    let saml = BASE64_STANDARD.encode("<samlp:Response ID=\"_1\"></samlp:Response>");
    let html = format!(
        "<form method=post><input type='hidden' name=\"SAMLResponse\" value=\"{saml}\"/>\n\
         <input value=\"t0k3n1234&amp;k/1\" type=hidden name=csrf_token><input name=\"user\" value=\"ada\">\n\
         <meta name=\"csrf-token\" content=\"m3ta1234\"><meta name=\"description\" content=\"token\"></form>"
    );
    let left = html
        .replace(&saml, "REDACTED-samlresponse-1")
        .replace("t0k3n1234&amp;k/1", "REDACTED-csrf_token-1")
        .replace("m3ta1234", "REDACTED-csrf-token-1");
    assert_eq!(text(HTML, &html), left);
}

#[test]
fn jsonp_and_json_behind_a_prefix_are_redacted() {
    for before in
        ["cb(", "/**/typeof cb === 'function' && cb(", ")]}',\n", "while(1);", "for (;;);", "{}&& ", "var a = "]
    {
        let json = |token: &str| format!("{before}{{\"token\":\"{token}\",\"u\":\"https://h/?sig={token}&a=1\"}});");
        let left = json("x1y2z3w4")
            .replace("\"x1y2z3w4\"", "\"REDACTED-token-1\"")
            .replace("sig=x1y2z3w4", "sig=REDACTED-token-1");
        for content_type in [SCRIPT, "text/plain", ""] {
            assert_eq!(text(content_type, &json("x1y2z3w4")), left);
        }
    }
}

#[test]
fn urls_in_markup_and_text_are_redacted() {
    for (html, left) in [
        (
            "<a href=\"/f?X-Amz-Date=1&amp;X-Amz-Signature=a1b2c3d4&amp;n=1\">",
            "<a href=\"/f?X-Amz-Date=REDACTED-x-amz-date-1&amp;X-Amz-Signature=REDACTED-x-amz-signature-1&amp;n=1\">",
        ),
        ("<a href='cb.html#access_token=a1b2c3d4&b=1'>", "<a href='cb.html#access_token=REDACTED-access_token-1&b=1'>"),
        ("see https://h/a?b#/c?token=x1y2z3w4.", "see https://h/a?b#/c?token=REDACTED-token-1"),
        ("<img src=//h/i?sig=a1b2c3d4>", "<img src=//h/i?sig=REDACTED-sig-1>"),
        ("jdbc:postgresql://h/db?user=a&password=b c", "jdbc:postgresql://h/db?user=a&password=REDACTED-password-1 c"),
        (
            "<form action=\"/login;jsessionid=0A1B2C3D4E5F?x=1\">",
            "<form action=\"/login;jsessionid=REDACTED-session-id-1?x=1\">",
        ),
        (
            "see https://h/cb?v2#access_token=q7Lx0PzR4vTn8KcW and https://h/#route?token=q7Lx0PzR4vTn8KcW",
            "see https://h/cb?v2#access_token=REDACTED-access_token-1 and https://h/#route?token=REDACTED-access_token-1",
        ),
        (
            "https://h/x?q=f(a)&token=a1b2c3d4 (/y?token=a1b2c3d4)",
            "https://h/x?q=f(a)&token=REDACTED-token-1 (/y?token=REDACTED-token-1)",
        ),
        ("f = a?token=b:c; /a/.test(d)?password=e:f", "f = a?token=b:c; /a/.test(d)?password=e:f"),
    ] {
        assert_eq!(text(HTML, html), left);
    }
    let policy = Policy::default();
    for (before, after) in [
        ("https://h/x?a=1&amp;token=a1b2c3d4", "https://h/x?a=1&amp;token=REDACTED-token-1"),
        ("https://h/x?a=1;token=a1b2c3d4;c", "https://h/x?a=1;token=REDACTED-token-1"),
        ("https://h/x?a=https://i/?sig=a1b2c3d4;b=2", "https://h/x?a=https://i/?sig=REDACTED-sig-1;b=2"),
        (
            "https://h/x?a=1;b=2;c=3;d=4;e=5;password=hunter2;f=6",
            "https://h/x?a=1;b=2;c=3;d=4;e=5;password=REDACTED-password-1",
        ),
        ("https://h/x?+token=a1b2c3d4&x", "https://h/x?+token=REDACTED-token-1&x"),
        ("https://h/x;jsessionid=0A1B2C3D4E5F.n1/y?z", "https://h/x;jsessionid=REDACTED-session-id-1/y?z"),
        ("https://h/x?next=%2Fy%3Ftoken%3Da1b2c3d4%26c", "https://h/x?next=%2Fy%3Ftoken%3DREDACTED-token-1%26c"),
    ] {
        assert_eq!(url(&policy, before), after);
    }
}

#[test]
fn urls_and_keys_in_headers_are_redacted() {
    let policy = Policy::default();
    for (name, value, left) in [
        ("X-Forwarded-Uri", "/x?token=a1b2c3d4&n=1", "/x?token=REDACTED-token-1&n=1"),
        ("SourceMap", "app.js.map?token=a1b2c3d4", "app.js.map?token=a1b2c3d4"),
        ("SourceMap", "/app.js.map?token=a1b2c3d4%2Fb", "/app.js.map?token=REDACTED-token-1"),
        ("Refresh", "0;url=/x?token=a1b2c3d4", "0;url=/x?token=REDACTED-token-1"),
        ("Refresh", "5; URL=https://h/x?token=a1b2c3d4", "5; URL=https://h/x?token=REDACTED-token-1"),
        ("X-Original-URL", "?a=1&amp;token=a1b2c3d4", "?a=1&amp;token=REDACTED-token-1"),
        ("X-Context", "{\"token\":\"a1b2c3d4\"}", "{\"token\":\"REDACTED-token-1\"}"),
        ("X-Context", "%7B%22token%22%3A%22a1b2c3d4%22%7D", "%7B%22token%22%3A%22REDACTED-token-1%22%7D"),
        ("X-Rate", "100% of a?b", "100% of a?b"),
    ] {
        assert_eq!(header(&policy, name, value), left, "{name}: {value}");
    }
    let pem = format!("-----BEGIN {0}-----\nMIIEow+/AB\nCD==\n-----END {0}-----\n", "RSA PRIVATE KEY");
    let escaped: String =
        percent_encoding::percent_encode(pem.as_bytes(), percent_encoding::NON_ALPHANUMERIC).to_string();
    assert_eq!(header(&policy, "X-Client-Cert", &escaped), "REDACTED-private-key-1%0A");
}

#[test]
fn quoted_cookies_are_redacted_as_a_whole() {
    let policy = Policy::default();
    for (value, left) in [
        ("a=1; b=\"x,y; z\"; c=2", "a=REDACTED-a-1; b=\"REDACTED-b-1\"; c=REDACTED-c-1"),
        ("b=\"x;y;z\"", "b=\"REDACTED-b-1\""),
        ("b=\"x; c=3", "b=REDACTED-b-1; c=REDACTED-c-1"),
        ("b=\"x; c=\"y\"", "b=REDACTED-b-1; c=\"REDACTED-c-1\""),
    ] {
        assert_eq!(header(&policy, "cookie", value), left);
    }
    assert_eq!(header(&policy, "set-cookie", "b=\"x,y; z\"; Path=/; HttpOnly"), "b=\"REDACTED-b-1\"; Path=/; HttpOnly");
}

#[test]
fn base64_of_json_is_redacted_and_stays_base64_of_json() {
    let policy = Policy::default();
    let inside = r#"{"a":"?>~","token":"s3cr3t-v4lue","n":"x"}"#;
    let redacted = inside.replace("s3cr3t-v4lue", "REDACTED-token-1");
    let (standard, url_safe) = (BASE64_STANDARD.encode(inside), BASE64_URL_SAFE_NO_PAD.encode(inside));
    let (standard_left, url_safe_left) = (BASE64_STANDARD.encode(&redacted), BASE64_URL_SAFE_NO_PAD.encode(&redacted));
    for (base64, left) in [(&standard, &standard_left), (&url_safe, &url_safe_left)] {
        let text = |base64: &str| format!(r#"{{"message":{{"data":"{base64}","id":"1"}}}}"#);
        assert_eq!(json(&policy, &text(base64)), text(left));
        assert_eq!(self::text(HTML, &format!("x {base64}, y")), format!("x {left}, y"));
        assert_eq!(header(&policy, "x-context", base64), **left);
        let escape = |base64: &str| ::url::form_urlencoded::byte_serialize(base64.as_bytes()).collect::<String>();
        let form = |base64: &str| format!("a=1&payload={}&b=2", escape(base64));
        assert_eq!(payload(&policy, FORM, &form(base64)), form(left));
        assert_eq!(url(&policy, &format!("https://h/?{}", form(base64))), format!("https://h/?{}", form(left)));
    }
    let pem = format!("-----BEGIN {0}-----\nMIIEow+/AB\n-----END {0}-----\n", "PRIVATE KEY");
    let left = BASE64_STANDARD.encode("REDACTED-private-key-1\n");
    assert_eq!(json(&policy, &format!(r#"["{}"]"#, BASE64_STANDARD.encode(pem))), format!("[\"{left}\"]"));
    let plain = BASE64_STANDARD.encode(r#"{"page":2,"cursor":"abc"}"#);
    assert_eq!(json(&policy, &format!(r#"{{"next":"{plain}"}}"#)), format!(r#"{{"next":"{plain}"}}"#));
}

#[test]
fn base64_of_json_in_base64_of_json_is_redacted() {
    let policy = Policy::default();
    let wrap = |inside: &str| BASE64_STANDARD.encode(format!(r#"{{"data":"{inside}"}}"#));
    let (inner, left) = (r#"{"pin":"1"}"#, r#"{"pin":"REDACTED-pin-1"}"#);
    let twice = |json: &str| format!(r#"["{}"]"#, wrap(&BASE64_STANDARD.encode(json)));
    assert_eq!(json(&policy, &twice(inner)), twice(left));
}

#[test]
fn markers_in_base64_become_placeholders() {
    let policy = Policy::default();
    let store = SecretStore::new(RunId::random(), &[]);
    let inside = |token: &str| format!(r#"{{"token":"{token}","pin":"{token}","n":1}}"#);
    let text = |token: &str| format!(r#"{{"data":"{}","next":"/x/y"}}"#, BASE64_STANDARD.encode(inside(token)));
    let PayloadRedaction::Redacted(journalled) =
        Redactor::new(&policy, &store).redact_payload("application/json", text("s3cret-value").as_bytes())
    else {
        panic!("not redacted")
    };
    let mut allocator = PlaceholderAllocator::new(store.run());
    let written = allocator.replace_markers(&journalled).into_owned();
    assert_eq!(String::from_utf8(written.clone()).unwrap(), text("REDACTED-token-1"));
    let mut read = Vec::new();
    let long = [" ".repeat(65_500).as_bytes(), &journalled].concat();
    let mut allocator = PlaceholderAllocator::new(store.run());
    std::io::Read::read_to_end(&mut allocator.replace_markers_in(&*long), &mut read).unwrap();
    assert_eq!(read.trim_ascii_start(), written, "across two reads");
    let found: Vec<_> = placeholder::find(&written).map(|found| found.placeholder.to_string()).collect();
    assert_eq!(found, ["REDACTED-token-1"]);
    let new = Placeholder { number: 7, ..placeholder::find(&written).next().unwrap().placeholder };
    let renamed = placeholder::rename(&written, &|_| Some(&new)).unwrap();
    assert_eq!(String::from_utf8(renamed).unwrap(), text("REDACTED-token-7"));
}

#[test]
fn known_values_are_redacted_in_html_and_base64() {
    let policy = Policy::default();
    let store = SecretStore::new(RunId::random(), &[]);
    let mut redactor = Redactor::new(&policy, &store);
    redactor.redact_payload("application/json", br#"{"password":"p<w&\"12345"}"#);
    let text = "<b>p&lt;w&amp;&quot;12345</b> cDx3JiIxMjM0NQ== and p&lt;w";
    let left = redactor.redact_text(text.as_bytes()).into_owned();
    let left = PlaceholderAllocator::new(store.run()).replace_markers(&left).into_owned();
    let base64 = BASE64_STANDARD.encode("REDACTED-password-1");
    assert_eq!(String::from_utf8(left).unwrap(), format!("<b>REDACTED-password-1</b> {base64} and p&lt;w"));
}

#[test]
fn passwords_of_basic_credentials_and_of_urls_are_known() {
    let policy = Policy::default();
    for (password, is_known) in [
        ("c0rrect-horse", true),
        ("correct:horse", true),
        ("sh0rt", false),
        ("production", false),
        ("correcthorsebatterystaple", true),
    ] {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("ada:{password}")));
        let json = format!(r#"{{"authorization":"{basic}"}}"#);
        let url = format!("https://ada:{}@h/", password.replace(':', "%3A"));
        for learn in [
            &|redactor: &mut Redactor<'_>| drop(redactor.redact_header("authorization", basic.as_bytes())),
            &|redactor: &mut Redactor<'_>| drop(redactor.redact_payload("application/json", json.as_bytes())),
            &|redactor: &mut Redactor<'_>| drop(redactor.redact_url(&url)),
        ] as [&dyn Fn(&mut Redactor<'_>); 3]
        {
            let store = SecretStore::new(RunId::random(), &[]);
            let mut redactor = Redactor::new(&policy, &store);
            learn(&mut redactor);
            let text = format!("user ada has the password {password}.");
            let left = redactor.redact_text(text.as_bytes()).into_owned();
            let left = PlaceholderAllocator::new(store.run()).replace_markers(&left).into_owned();
            let expected = text.replace(password, if is_known { "REDACTED-password-1" } else { password });
            assert_eq!(String::from_utf8(left).unwrap(), expected);
        }
    }
    let store = SecretStore::new(RunId::random(), &[]);
    let mut redactor = Redactor::new(&policy, &store);
    redactor.redact_header("authorization", format!("Basic {}", BASE64_STANDARD.encode("k3y-of-an-api:")).as_bytes());
    assert_ne!(&*redactor.redact_text(b"unknown key k3y-of-an-api"), b"unknown key k3y-of-an-api");
}

#[test]
fn block_strings_of_graphql_are_redacted() {
    let policy = Policy::default();
    let document = |password: &str| {
        format!("mutation {{ login(password: \"\"\"{password}\"\"\", n: \"\"\"x\"\"\") {{ token }} }}")
    };
    for password in ["h", "a \"quoted\" word\nand a line", "\\\"\"\" escaped"] {
        assert_eq!(payload(&policy, "application/graphql", &document(password)), document("REDACTED-password-1"));
        let body = |document: &str| serde_json::json!({ "query": document }).to_string();
        assert_eq!(json(&policy, &body(&document(password))), body(&document("REDACTED-password-1")));
    }
}

#[test]
fn values_with_a_name_beside_them_are_redacted() {
    let policy = Policy::default();
    for (text, left) in [
        (
            r#"[{"name":"user","value":"ada"},{"name":"password","type":"x","value":"h"},{"value":"v"}]"#,
            r#"[{"name":"user","value":"ada"},{"name":"password","type":"x","value":"REDACTED-password-1"},{"value":"v"}]"#,
        ),
        (
            r#"[{"value":"h\"x","name":"password"},{"name":"note","value":"v"}]"#,
            r#"[{"value":"REDACTED-password-1","name":"password"},{"name":"note","value":"v"}]"#,
        ),
        (
            r#"{"headers":[{"key":"Authorization","value":"Bearer a1b2c3d4"},{"key":"X-Api-Key","value":"k3y4k3y5"}]}"#,
            r#"{"headers":[{"key":"Authorization","value":"Bearer REDACTED-authorization-1"},{"key":"X-Api-Key","value":"REDACTED-x-api-key-1"}]}"#,
        ),
        (
            r#"{"headers":[["Accept","*/*"],["Authorization","Bearer a1b2c3d4"], [ "x-api-key" , "k3y4k3y5" ]]}"#,
            r#"{"headers":[["Accept","*/*"],["Authorization","Bearer REDACTED-authorization-1"], [ "x-api-key" , "REDACTED-x-api-key-1" ]]}"#,
        ),
        (
            r#"[{"name":"Cookie","value":"sid=s3cr3t99; lang=en"},{"value":"Basic YTpi","name":"authorization"}]"#,
            r#"[{"name":"Cookie","value":"REDACTED-cookie-1"},{"value":"Basic REDACTED-authorization-1","name":"authorization"}]"#,
        ),
        (r#"{"c":"{%22password%22:%22hunter2%22}"}"#, r#"{"c":"{%22password%22:%22REDACTED-password-1%22}"}"#),
        (r#"{"name":"password","x":{"value":"v"}}"#, r#"{"name":"password","x":{"value":"v"}}"#),
        (r#"{"required":["authorization","value"]}"#, r#"{"required":["authorization","value"]}"#),
        (r#"[["authorization","x","y"]]"#, r#"[["authorization","x","y"]]"#),
    ] {
        assert_eq!(json(&policy, text), left);
    }
}

#[test]
fn elements_attributes_and_lines_are_judged_by_their_names() {
    let policy = Policy::default();
    for (text, left) in [
        ("<u:Password Type=\"t\">hunter2</u:Password>", "<u:Password Type=\"t\">REDACTED-password-1</u:Password>"),
        ("<login user='ada' pwd='hunter2'/>", "<login user='ada' pwd='REDACTED-pwd-1'/>"),
        ("<apiKey> 6rbAz1cGq0vXk2mN </apiKey>", "<apiKey> REDACTED-apikey-1 </apiKey>"),
        ("A=1\nSECRET_KEY=6rbAz1cGq0vXk2mN\n", "A=1\nSECRET_KEY=REDACTED-secret_key-1\n"),
        ("user:\n  - token: '6rbAz1cGq0vXk2mN' # note\n", "user:\n  - token: 'REDACTED-token-1' # note\n"),
    ] {
        assert_eq!(payload(&policy, "application/xml", text), left);
    }
    for text in [
        "<code>6rbAz1cGq0vXk2mN</code>",
        "<Key>uploads/2026/6ba7b810-9dad-11d1-80b4-00c04fd430c8.jpg</Key>",
        "<NextToken>6rbAz1cGq0vXk2mN</NextToken>",
        "const a = {\n  password: event.target.value,\n  token: await readToken(),\n  secret: required\n};\n",
        "password: must have 12 characters\ntoken = response.data.token\n",
    ] {
        assert_eq!(payload(&policy, "text/plain", text), text);
    }
}

#[test]
fn values_of_markup_scripts_and_settings_are_redacted() {
    let policy = Policy::default();
    let secret = "6rbAz1cGq0vXk2mN";
    for (text, name) in [
        ("<password><![CDATA[@]]></password>", "password"),
        ("<password><!-- old --> @</password>", "password"),
        ("<password><value>@</value></password>", "password"),
        ("<member><name>password</name><value><string>@</string></value></member>", "password"),
        ("<param name=\"password\">@</param>", "password"),
        ("<property name='db.password' value='@'/>", "db-password"),
        ("<add key=\"ApiKey\" value=\"@\" />", "apikey"),
        ("<textarea name=client_secret>@</textarea>", "client_secret"),
        ("<input id=access_token value=@>", "access_token"),
        ("<select name=token><option value='@'>a</option></select>", "token"),
        ("<input type=password name=x value=@>", "password"),
        ("<script>window.accessToken=\"@\"</script>", "window-accesstoken"),
        ("<script>App.init({apiKey: '@', n: 1})</script>", "apikey"),
        ("//npm.example/:_authToken=@\n", "npm-example--_authtoken"),
        ("[db]\nx = { user = \"u\", password = \"@\" }\n", "password"),
        ("SID=@\nLSID=\n", "sid"),
    ] {
        let left = text.replace('@', &format!("REDACTED-{name}-1"));
        assert_eq!(payload(&policy, "text/html", &text.replace('@', secret)), left);
    }
    for (text, left) in [
        ("A=1\nMAIL_PASSWORD='Abcdef123!xy'\n", "A=1\nMAIL_PASSWORD='REDACTED-mail_password-1'\n"),
        ("db:\n  password: hunter2four\n", "db:\n  password: REDACTED-password-1\n"),
        (
            "DB_PASSWORD=secret\nPWD=/home/ada\nTOKEN=$OTHER\n",
            "DB_PASSWORD=REDACTED-db_password-1\nPWD=/home/ada\nTOKEN=$OTHER\n",
        ),
        (
            "oauth_token=6rbAz1cG&oauth_token_secret=x\n",
            "oauth_token=REDACTED-oauth_token-1&oauth_token_secret=REDACTED-oauth_token_secret-1\n",
        ),
    ] {
        assert_eq!(payload(&policy, "text/plain", text), left);
    }
    for (text, left) in [
        (
            r#"{"Env":["POSTGRES_PASSWORD=secret","A=b"]}"#,
            r#"{"Env":["POSTGRES_PASSWORD=REDACTED-postgres_password-1","A=b"]}"#,
        ),
        (
            r#"{"db":"Server=db,1;User ID=ada;Password=a;"}"#,
            r#"{"db":"Server=db,1;User ID=ada;Password=REDACTED-password-1;"}"#,
        ),
        (r#"{"x":"<password>a</password>"}"#, r#"{"x":"<password>REDACTED-password-1</password>"}"#),
        (
            r#"{"password":["This password is too short.","is too short (minimum is 8 characters)","hunter2"]}"#,
            r#"{"password":["This password is too short.","is too short (minimum is 8 characters)","REDACTED-password-1"]}"#,
        ),
    ] {
        assert_eq!(json(&policy, text), left);
    }
    for text in [
        "<select name=token><option value=none>a</option></select><p name=password>b</p>".replace("p name", "a name"),
        "if (password == 'Abcdef123!xy') { password: 'reset-your-password' }".into(),
        "f({key: 'f3a9c1d47b2e8056aa', password: form.password2});\n".into(),
    ] {
        assert_eq!(payload(&policy, "text/html", &text), text);
    }
}

#[test]
fn parts_of_a_batch_are_redacted_as_messages() {
    let policy = Policy::default();
    let part = "POST /a?token=t0k3n123 HTTP/1.1\r\nAuthorization: Bearer abc\r\nContent-Type: application/json\r\n\r\n\
                {\"password\":\"a\"}";
    let answer =
        "HTTP/1.1 200 OK\nSet-Cookie: sid=c; Path=/\nContent-Type: application/x-www-form-urlencoded\n\npassword=b\n";
    let batch = |part: &str, answer: &str| {
        let typed = |text| format!("--b\r\nContent-Type: application/http\r\n\r\n{text}\r\n");
        format!("{}{}--b--\r\n", typed(part), typed(answer))
    };
    let left_part = part
        .replace("t0k3n123", "REDACTED-token-1")
        .replace("abc", "REDACTED-authorization-1")
        .replace("\"a\"", "\"REDACTED-password-1\"");
    let left_answer = answer.replace("sid=c", "sid=REDACTED-sid-1").replace("=b", "=REDACTED-password-2");
    let left = batch(&left_part, &left_answer);
    assert_eq!(payload(&policy, "multipart/mixed; boundary=b", &batch(part, answer)), left);
    assert_eq!(payload(&policy, "application/http", part), left_part);
    for cut in 0..part.len() {
        let _ = payload(&policy, "application/http", &part[..cut]);
    }
}

#[test]
fn credentials_and_forms_in_strings_are_redacted() {
    let policy = Policy::default();
    let token = "a1b2c3d4e5f6a7b8";
    for text in [
        format!("> GET / HTTP/1.1\n> Authorization: Bearer {token}\n"),
        format!("curl -H 'authorization: token {token}' https://h/"),
    ] {
        assert_eq!(payload(&policy, "text/plain", &text), text.replace(token, "REDACTED-credentials-1"));
    }
    assert_eq!(
        json(&policy, r#"{"body":"grant_type=x&client_secret=a%20b","q":"a&b","e":"x=1 & token=2"}"#),
        r#"{"body":"grant_type=x&client_secret=REDACTED-client_secret-1","q":"a&b","e":"x=1 & token=2"}"#
    );
}

/// Secrets in JSON of a long page, wherever the windows of the stream end.
#[test]
fn json_in_long_html_is_redacted_in_every_window() {
    let policy = Policy::default();
    let unit = |n: usize, token: &str, sig: &str| {
        format!(
            "<p id=\"p{n}\">it's \"text\"</p><script>s({{\"n\":{n},\"token\" : \"{token}\"}})</script><a href=\"/x?a=1&amp;sig={sig}\">"
        )
    };
    let page = |token: &str, sig: &str| (0..3000).map(|n| unit(n, token, sig)).collect::<String>();
    let left = page("REDACTED-token-1", "REDACTED-sig-1");
    assert!(left.len() > 4 * 64 * 1024);
    for before in ["", " ", "<!doctype html>", "  ", "<b>"] {
        let text = format!("{before}{}", page("t0k3n123", "s1g2n3a4"));
        let mut replacer = TestReplacer::default();
        let mut redactor = Redactor::new(&policy, &mut replacer);
        let (mut stream, mut out) = (StreamRedactor::new(HTML), Vec::new());
        text.as_bytes().chunks(10_007).for_each(|piece| stream.push(&mut redactor, piece, &mut out));
        stream.finish(&mut redactor, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out == format!("{before}{left}"), "{before}: {} left", out.matches("t0k3n123").count());
    }
}

/// A form field is found although a window ends between its head and its value.
#[test]
fn fields_of_a_long_upload_are_redacted_in_every_window() {
    let policy = Policy::default();
    let part =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let body =
        |password: &str| format!("{}--b--\r\n", (part("password", password) + &part("note", "a b")).repeat(2000));
    for before in 0..40 {
        let fill = part("file", &"x".repeat(before));
        let mut replacer = TestReplacer::default();
        let mut redactor = Redactor::new(&policy, &mut replacer);
        let (mut stream, mut out) = (StreamRedactor::new("multipart/form-data; boundary=b"), Vec::new());
        stream.push(&mut redactor, format!("{fill}{}", body("hunter2")).as_bytes(), &mut out);
        stream.finish(&mut redactor, &mut out);
        assert!(out == format!("{fill}{}", body("REDACTED-password-1")).as_bytes(), "{before}");
    }
}

#[test]
fn first_event_behind_a_byte_order_mark_is_redacted() {
    let events =
        |token: &str| format!("\u{feff}data: {{\"token\":\"{token}\"}}\n\ndata: {{\"token\":\"{token}\"}}\n\n");
    assert_eq!(text("text/event-stream", &events("x1y2z3w4")), events("REDACTED-token-1"));
    let lines = |token: &str| format!("\u{feff}{{\"token\":\"{token}\"}}\n{{\"token\":\"{token}\"}}\n");
    assert_eq!(text("application/x-ndjson", &lines("x1y2z3w4")), lines("REDACTED-token-1"));
}

/// The search takes linear time even if every byte begins a view.
#[test]
fn search_is_linear_in_views_that_do_not_end() {
    let policy = Policy::default();
    for unit in [
        "{\"",
        "[{\"a\":",
        "{\\\"",
        "{&quot;",
        "{\"\n",
        "{\"\\\"\n",
        "?a=",
        "/?a= ",
        "<input ",
        "<input \"",
        "eyJ ",
        "&quot;",
        "\":",
        "\"token\":",
    ] {
        let text = unit.repeat(50_000);
        let mut replacer = TestReplacer::default();
        let _ = Redactor::new(&policy, &mut replacer).redact_payload(HTML, text.as_bytes());
    }
}
