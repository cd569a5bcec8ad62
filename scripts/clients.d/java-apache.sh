# name: Apache HttpClient
# needs: apt:java=default-jdk-headless apt:/usr/share/java/httpclient.jar=libhttpclient-java
# took: `useSystemProperties()`, or `HttpClients.createSystem()`
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/Client.java" <<'JAVA'
import java.nio.file.*;
import org.apache.http.client.methods.*;
import org.apache.http.entity.*;
import org.apache.http.impl.client.*;
import org.apache.http.util.EntityUtils;

class Client {
    static final CloseableHttpClient client = HttpClients.createSystem();

    static void keep(String name, HttpUriRequest request) throws Exception {
        try (var answer = client.execute(request)) {
            if (answer.getStatusLine().getStatusCode() >= 400) throw new Exception(name + " " + answer.getStatusLine());
            Files.write(Path.of(System.getenv("OUT"), name), EntityUtils.toByteArray(answer.getEntity()));
        }
    }

    public static void main(String[] arguments) throws Exception {
        var base = System.getenv("BASE");
        keep("json", new HttpGet(base + "/api/json?page=2"));
        keep("gzip", new HttpGet(base + "/api/gzip"));
        var post = new HttpPost(base + "/api/items");
        post.setEntity(new StringEntity("{\"name\":\"Ada\"}", ContentType.APPLICATION_JSON));
        keep("post", post);
        keep("redirect", new HttpGet(base + "/api/redirect"));
        keep("image", new HttpGet(base + "/api/image.png"));
        client.close();
    }
}
JAVA
java -cp "/usr/share/java/*" "$work/Client.java"
