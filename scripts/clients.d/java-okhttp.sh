# name: OkHttp
# needs: apt:java=default-jdk-headless apt:/usr/share/java/okhttp.jar=libokhttp-java
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/Client.java" <<'JAVA'
import java.nio.file.*;
import okhttp3.*;

class Client {
    static final OkHttpClient client = new OkHttpClient();

    static void keep(String name, Request.Builder request) throws Exception {
        try (Response answer = client.newCall(request.build()).execute()) {
            if (!answer.isSuccessful()) throw new Exception(name + " " + answer.code());
            Files.write(Path.of(System.getenv("OUT"), name), answer.body().bytes());
        }
    }

    static Request.Builder to(String path) {
        return new Request.Builder().url(System.getenv("BASE") + path);
    }

    public static void main(String[] arguments) throws Exception {
        keep("json", to("/api/json?page=2"));
        keep("gzip", to("/api/gzip"));
        var json = MediaType.parse("application/json");
        keep("post", to("/api/items").post(RequestBody.create(json, "{\"name\":\"Ada\"}".getBytes())));
        keep("redirect", to("/api/redirect"));
        keep("image", to("/api/image.png"));
        client.dispatcher().executorService().shutdown();
        client.connectionPool().evictAll();
    }
}
JAVA
java -cp "/usr/share/java/okhttp.jar:/usr/share/java/okio.jar:/usr/share/java/*" "$work/Client.java"
