# name: JDK HttpURLConnection
# needs: apt:java=default-jdk-headless
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/Client.java" <<'JAVA'
import java.net.*;
import java.nio.file.*;

class Client {
    static void keep(String name, String path, String body) throws Exception {
        var connection = (HttpURLConnection) new URL(System.getenv("BASE") + path).openConnection();
        if (body != null) {
            connection.setDoOutput(true);
            connection.setRequestProperty("content-type", "application/json");
            connection.getOutputStream().write(body.getBytes());
        }
        try (var stream = connection.getInputStream()) {
            Files.copy(stream, Path.of(System.getenv("OUT"), name));
        }
    }

    public static void main(String[] arguments) throws Exception {
        keep("json", "/api/json?page=2", null);
        keep("post", "/api/items", "{\"name\":\"Ada\"}");
        keep("redirect", "/api/redirect", null);
        keep("image", "/api/image.png", null);
    }
}
JAVA
java "$work/Client.java"
