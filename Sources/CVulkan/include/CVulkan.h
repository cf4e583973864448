// The Vulkan loader, found when it is asked for: a machine without it runs everything else. What
// Vulkan wants as chains of structures is made here, so that Swift passes plain values.
#ifndef BANANA_CVULKAN_H
#define BANANA_CVULKAN_H

#define VK_NO_PROTOTYPES
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

// An instance, and a device of it, with the functions that they have.
typedef struct banana_vulkan banana_vulkan;
typedef struct banana_vulkan_device banana_vulkan_device;

// Loads libvulkan.so.1 once; NULL, or why it cannot.
const char *banana_vulkan_load(void);

// - validates: with the validation layer, if it is installed.
VkResult banana_vulkan_open(bool validates, banana_vulkan **instance);
void banana_vulkan_close(banana_vulkan *instance);
// Whether the validation layer watches, how many times it has complained, and the first complaint.
bool banana_vulkan_validates(const banana_vulkan *instance);
int32_t banana_vulkan_complaints(const banana_vulkan *instance);
const char *banana_vulkan_first_complaint(const banana_vulkan *instance);

// What a device is and can.
typedef struct {
  char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
  char driver[VK_MAX_DRIVER_NAME_SIZE];
  char driver_info[VK_MAX_DRIVER_INFO_SIZE];
  VkPhysicalDeviceType type;
  uint32_t api_version;
  uint32_t driver_version;
  uint32_t vendor;
  uint32_t device;
  uint8_t cache_uuid[VK_UUID_SIZE];
  // Of the largest heap that is the device's own, and of all of them.
  uint64_t heap_bytes;
  uint64_t buffer_range_bytes;
  uint32_t offset_alignment;
  uint32_t workgroup_invocations;
  uint32_t shared_bytes;
  uint32_t group_counts[3];
  uint32_t stage_buffers;
  uint32_t push_bytes;
  uint32_t allocations;
  uint32_t subgroup_size;
  bool float16;
  bool int8;
  bool storage16;
  bool storage8;
  bool timeline_semaphores;
  bool integer_dot;
  // Where packed signed bytes are multiplied in one instruction.
  bool integer_dot_accelerated;
  bool cooperative_matrix;
  // A type of memory that is the device's own and that the host sees.
  bool host_visible;
  // The family that computes, -1 if there is none.
  int32_t queue_family;
} banana_vulkan_facts;

// The device with this number; false if there are not so many.
bool banana_vulkan_describe(const banana_vulkan *instance, uint32_t index,
                            banana_vulkan_facts *facts);

// - uses_integer_dot: only if the facts have it.
VkResult banana_vulkan_open_device(const banana_vulkan *instance, uint32_t index,
                                   const banana_vulkan_facts *facts, bool uses_integer_dot,
                                   banana_vulkan_device **device);
// Waits for what it does.
void banana_vulkan_close_device(banana_vulkan_device *device);

// A buffer with memory of its own, of a type that has `required` and, if there is one, `preferred`
// properties; mapped if it is visible to the host.
typedef struct {
  VkBuffer buffer;
  VkDeviceMemory memory;
  void *mapped;
} banana_vulkan_block;
VkResult banana_vulkan_allocate(banana_vulkan_device *device, uint64_t byte_count,
                                VkMemoryPropertyFlags required, VkMemoryPropertyFlags preferred,
                                banana_vulkan_block *block);
void banana_vulkan_free(banana_vulkan_device *device, banana_vulkan_block block);

// A layout of storage buffers 0 ..< count and arguments.
typedef struct {
  VkDescriptorSetLayout set;
  VkPipelineLayout pipeline;
} banana_vulkan_layout;
VkResult banana_vulkan_make_layout(banana_vulkan_device *device, uint32_t buffers,
                                   uint32_t push_bytes, banana_vulkan_layout *layout);
void banana_vulkan_free_layout(banana_vulkan_device *device, banana_vulkan_layout layout);

// - constants: specialization constants 0 ..< count.
VkResult banana_vulkan_make_pipeline(banana_vulkan_device *device, VkPipelineCache cache,
                                     banana_vulkan_layout layout, const void *code,
                                     size_t byte_count, const uint32_t *constants, uint32_t count,
                                     VkPipeline *pipeline);
void banana_vulkan_free_pipeline(banana_vulkan_device *device, VkPipeline pipeline);

VkResult banana_vulkan_make_cache(banana_vulkan_device *device, const void *data,
                                  size_t byte_count, VkPipelineCache *cache);
// The cache's contents; with NULL, their size.
VkResult banana_vulkan_read_cache(banana_vulkan_device *device, VkPipelineCache cache,
                                  size_t *byte_count, void *data);
void banana_vulkan_free_cache(banana_vulkan_device *device, VkPipelineCache cache);

// Command buffers, the descriptor sets that they bind, and a fence: used by one thread at a time.
typedef struct {
  VkCommandPool commands;
  VkDescriptorPool descriptors;
  VkFence fence;
} banana_vulkan_recording;
VkResult banana_vulkan_make_recording(banana_vulkan_device *device, uint32_t sets,
                                      uint32_t buffers, banana_vulkan_recording *recording);
void banana_vulkan_free_recording(banana_vulkan_device *device, banana_vulkan_recording recording);
VkResult banana_vulkan_begin(banana_vulkan_device *device, banana_vulkan_recording recording,
                             VkCommandBuffer *commands);
VkResult banana_vulkan_end(banana_vulkan_device *device, VkCommandBuffer commands);
void banana_vulkan_free_commands(banana_vulkan_device *device, banana_vulkan_recording recording,
                                 VkCommandBuffer commands);

VkResult banana_vulkan_bind(banana_vulkan_device *device, banana_vulkan_recording recording,
                            banana_vulkan_layout layout, const VkDescriptorBufferInfo *buffers,
                            uint32_t count, VkDescriptorSet *set);
void banana_vulkan_dispatch(banana_vulkan_device *device, VkCommandBuffer commands,
                            VkPipeline pipeline, banana_vulkan_layout layout, VkDescriptorSet set,
                            const uint32_t *arguments, uint32_t count, uint32_t x, uint32_t y);
void banana_vulkan_copy(banana_vulkan_device *device, VkCommandBuffer commands, VkBuffer from,
                        uint64_t from_offset, VkBuffer to, uint64_t to_offset,
                        uint64_t byte_count);
// Everything before is done, and seen by everything behind: kernels, copies and, at the end, the
// host.
void banana_vulkan_barrier(banana_vulkan_device *device, VkCommandBuffer commands);

// Who submits to a device's queue takes turns.
VkResult banana_vulkan_submit(banana_vulkan_device *device, banana_vulkan_recording recording,
                              const VkCommandBuffer *commands, uint32_t count);
VkResult banana_vulkan_wait(banana_vulkan_device *device, banana_vulkan_recording recording);

#endif
