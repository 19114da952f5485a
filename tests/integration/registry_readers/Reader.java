// Reader.java BOOTSTRAP REGISTRY TOPIC:COUNT...: as reader.py, by Apicurio's own deserializer, told to read ids as Confluent writes them.
import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class Reader {
  public static void main(String[] arguments) {
    var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    var reader = new AvroKafkaDeserializer<GenericRecord>();
    reader.configure(Map.of("apicurio.registry.url", arguments[1], "apicurio.registry.as-confluent", true,
        "apicurio.registry.use-id", "contentId", "apicurio.registry.headers.enabled", false), false);
    var consumer = new KafkaConsumer<byte[], byte[]>(Map.of("bootstrap.servers", arguments[0], "group.id", "reader-" + UUID.randomUUID(),
        "isolation.level", "read_committed", "fetch.max.wait.ms", "10", "auto.offset.reset", "earliest"),
        new ByteArrayDeserializer(), new ByteArrayDeserializer());
    for (String words : List.of(arguments).subList(2, arguments.length)) {
      String topic = words.split(":")[0];
      int left = Integer.parseInt(words.split(":")[1]);
      var partitions = consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      while (left > 0)
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
          left--;
          GenericRecord event = reader.deserialize(topic, record.headers(), record.value());
          out.println("{\"way\": \"java\", \"topic\": \"" + topic + "\", \"id\": \""
              + new String(record.headers().lastHeader("ce_id").value()) + "\", \"event\": " + event + "}");
        }
    }
  }
}
