# name: JDK HttpClient
# needs: apt:java=default-jdk-headless
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/Client.java" <<'JAVA'
import java.net.URI;
import java.net.http.*;
import java.nio.file.*;
import java.util.Optional;
import java.util.zip.GZIPInputStream;

class Client {
    static final HttpClient client = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NORMAL).build();

    static void keep(String name, HttpRequest.Builder request) throws Exception {
        var answer = client.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
        if (answer.statusCode() >= 400) throw new Exception(name);
        var gzip = answer.headers().firstValue("content-encoding").equals(Optional.of("gzip"));
        try (var body = gzip ? new GZIPInputStream(answer.body()) : answer.body()) {
            Files.copy(body, Path.of(System.getenv("OUT"), name));
        }
    }

    static HttpRequest.Builder to(String path) {
        return HttpRequest.newBuilder(URI.create(System.getenv("BASE") + path));
    }

    public static void main(String[] arguments) throws Exception {
        keep("json", to("/api/json?page=2"));
        keep("gzip", to("/api/gzip").header("accept-encoding", "gzip"));
        var body = HttpRequest.BodyPublishers.ofString("{\"name\":\"Ada\"}");
        keep("post", to("/api/items").header("content-type", "application/json").POST(body));
        keep("redirect", to("/api/redirect"));
        keep("image", to("/api/image.png"));
    }
}
JAVA
java "$work/Client.java"
