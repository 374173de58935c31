package bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.resilience4j.core.IntervalFunction;
import io.github.resilience4j.retry.Retry;
import io.github.resilience4j.retry.RetryConfig;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;

/**
 * A model behind the Open Inference Protocol, asked over REST.
 *
 * <p>An I/O error is tried again: 10 attempts, 500 ms doubled up to 16 s, with jitter. Every answer
 * but 200 is an unchecked exception.
 */
final class Model {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final MediaType JSON_TYPE = MediaType.get("application/json; charset=utf-8");

    private final Retry retry = Retry.of("model", RetryConfig.custom()
            .maxAttempts(10)
            .intervalFunction(IntervalFunction.ofExponentialRandomBackoff(
                    Duration.ofMillis(500), 2.0, 0.5, Duration.ofSeconds(16)))
            .retryExceptions(IOException.class)
            .build());
    private final OkHttpClient http = new OkHttpClient.Builder().readTimeout(Duration.ofSeconds(30)).build();
    private final String url;

    Model(final String url) {
        this.url = url;
    }

    String infer(final String text) throws IOException {
        final String body = JSON.writeValueAsString(Map.of("inputs", List.of(Map.of(
                "name", "text", "shape", List.of(1), "datatype", "BYTES", "data", List.of(text)))));
        final Request request = new Request.Builder()
                .url(this.url)
                .post(RequestBody.create(body, JSON_TYPE))
                .build();
        final Callable<String> call = Retry.decorateCallable(this.retry, () -> ask(request));
        try {
            return JSON.readTree(call.call()).path("outputs").path(0).path("data").path(0).textValue();
        } catch (final IOException | RuntimeException e) {
            throw e;
        } catch (final Exception e) {
            throw new IllegalStateException(e);
        }
    }

    private String ask(final Request request) throws IOException {
        try (Response response = this.http.newCall(request).execute()) {
            final String answer = response.body().string();
            if (response.code() != 200) {
                throw new IllegalStateException("model answered " + response.code() + ": " + answer);
            }
            return answer;
        }
    }
}
